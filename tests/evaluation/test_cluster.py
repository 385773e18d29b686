# SPDX-License-Identifier: Apache-2.0
"""A Ray cluster of two workers on this machine, one of them killed midway."""

import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import layouts
import pytest
import ray

from groundmore_ros.datasets import open_dataset
from groundmore_ros.errors import GroundmoreError
from groundmore_ros.evaluation.answering import Asking
from groundmore_ros.evaluation.evaluate import evaluate
from groundmore_ros.evaluation.work import Job, Processes


@pytest.fixture(scope="module", autouse=True)
def _cluster() -> Iterator[None]:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    # Workers import this package as this process does.
    ray.init(num_cpus=2, log_to_driver=False, include_dashboard=False)
    yield
    ray.shutdown()


def test_a_killed_worker_costs_no_result(tiny_folder: Path, tmp_path: Path) -> None:
    from groundmore_ros.evaluation.cluster import Cluster

    root = layouts.groundmore(tmp_path / "groundmore")
    job = Job(
        open_dataset(str(root)),
        str(tiny_folder),
        loading={"device": "cpu"},
        asking=Asking(20),
        predictions=tmp_path / "one",
    )
    alone = evaluate(job, Processes(1))
    killed: list[int] = []

    def kill_one(videos: int) -> None:
        if videos and not killed:
            found = subprocess.run(
                ["pgrep", "-f", "ray::_Actor"], capture_output=True, text=True, check=False
            )
            killed.append(int(found.stdout.split()[0]))
            os.kill(killed[0], signal.SIGKILL)

    spread = evaluate(replace(job, predictions=tmp_path / "two"), Cluster(2), on_done=kill_one)
    assert killed
    assert [s.status for s in spread.scores] == [s.status for s in alone.scores]
    for one, other in zip(alone.scores, spread.scores, strict=True):
        assert asdict(one.figures) == pytest.approx(asdict(other.figures))


def test_a_broken_data_set_is_one_clear_error(tmp_path: Path, tiny_folder: Path) -> None:
    from groundmore_ros.evaluation.cluster import Cluster

    root = layouts.groundmore(tmp_path / "groundmore")
    (root / "annotations/two_0010_0012/masks/0000003.png").write_bytes(b"no picture")
    job = Job(open_dataset(str(root)), None, asking=Asking(None), predictions=tmp_path / "p")
    with pytest.raises(GroundmoreError, match="0000003.png cannot be read"):
        evaluate(job, Cluster(1))
