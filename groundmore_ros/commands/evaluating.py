# SPDX-License-Identifier: Apache-2.0
"""What ``predict`` and ``evaluate`` share."""

import os
from typing import TYPE_CHECKING, Annotated

import typer

from groundmore_ros.errors import GroundmoreError, MissingDependencyError

if TYPE_CHECKING:
    from groundmore_ros.datasets import Dataset
    from groundmore_ros.evaluation.work import Executor

__all__ = [
    "CORES",
    "EXECUTORS",
    "ExecutorOption",
    "FramesOption",
    "RetryOption",
    "SplitOption",
    "TopicOption",
    "WorkersOption",
    "frames_of",
    "make_executor",
]

EXECUTORS = ("local", "ray")
CORES = os.cpu_count() or 1

FramesOption = Annotated[
    str, typer.Option(help="Frames of a clip: a number, all, or auto: the protocol's.")
]
SplitOption = Annotated[
    str | None,
    typer.Option(
        help="Part of the data set, such as valid_u; of seeds: known, validation or held-out words."
    ),
]
TopicOption = Annotated[str | None, typer.Option(help="A bag's image topic, where it has several.")]
WorkersOption = Annotated[int, typer.Option(min=1, help="Processes or cluster workers.")]
ExecutorOption = Annotated[str, typer.Option(help="local, or ray: a cluster.")]
RetryOption = Annotated[
    bool, typer.Option("--retry-failed", help="Ask again where the answer FAILED before.")
]


def frames_of(text: str, dataset: "Dataset") -> int | None:
    """How many frames of a clip are scored; None: all.

    Raises:
        GroundmoreError: neither a number, nor ``all``, nor ``auto``.
    """
    if text == "auto":
        return dataset.frames
    if text == "all":
        return None
    if text.isdigit() and int(text) > 0:
        return int(text)
    raise GroundmoreError(f"--frames is {text!r}; expected a number, all, or auto")


def make_executor(name: str, workers: int) -> "Executor":
    """Processes on this machine, or a Ray cluster.

    Raises:
        GroundmoreError: no such executor.
        MissingDependencyError: Ray is not installed.
    """
    from groundmore_ros.evaluation.work import Processes

    if name == "local":
        return Processes(workers)
    if name != "ray":
        raise GroundmoreError(f"--executor is {name!r}; expected one of {', '.join(EXECUTORS)}")
    try:
        from groundmore_ros.evaluation.cluster import Cluster
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f"{error.name} is missing: pip install 'groundmore[ray]'"
        ) from error
    return Cluster(workers)
