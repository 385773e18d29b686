# SPDX-License-Identifier: Apache-2.0
"""Bags through the running node, in ROS time: its answers as predictions."""

from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from groundmore_ros.bags.records import Latencies
from groundmore_ros.datasets.bag import BagVideo
from groundmore_ros.datasets.base import Question
from groundmore_ros.errors import SourceError
from groundmore_ros.evaluation.predictions import FAILED, Prediction
from groundmore_ros.mora.answer import Status
from groundmore_ros.ros.demo import Recording, record
from groundmore_ros.run_lengths import RunLengths

__all__ = ["replay"]


def replay(video: BagVideo, questions: Sequence[Question], model: str) -> Iterator[Prediction]:
    """Play a bag to a node of its own; its answers to some of the bag's questions.

    Raises:
        GroundmoreError: the node did not start.
    """
    parameters = [f"clip_rate:={video.rate}", f"clip_frames:={video.clip_frames}"]
    ids = [q.id for q in questions]
    recording = record([video.path], ids, model, video.topic, parameters)
    for question in questions:
        yield _prediction(video, question, recording)


def _prediction(video: BagVideo, question: Question, recording: Recording) -> Prediction:
    said = recording.answers.get(question.id)
    if said is None or said.status not in (Status.OK, Status.NO_OBJECT):
        error = "the node gave no answer" if said is None else said.error
        return Prediction(video.id, question.id, FAILED, error=error)
    gated, ungated = _masks(video, question, recording)
    return Prediction(
        video=video.id,
        question=question.id,
        status=Status(said.status).name,
        text=said.answer,
        score=float(said.score),
        spans=[(_seconds(s.start), _seconds(s.end), float(s.score)) for s in said.spans],
        masks=gated,
        ungated={name: mask for name, mask in ungated.items() if mask.area != gated[name].area},
        latencies={f.name: getattr(said, f"latency_{f.name}") for f in fields(Latencies)},
    )


def _masks(
    video: BagVideo, question: Question, recording: Recording
) -> tuple[dict[str, RunLengths], dict[str, RunLengths]]:
    """By frame, after and before the gate: the union of the objects."""
    empty = np.zeros(_size(video, question), bool)
    published = recording.masks.get(question.id, {})
    gated, ungated = {}, {}
    for index in question.frames:
        found = [m for (stamp, _), m in published.items() if stamp == video.nanoseconds[index]]
        name = video.names[index]
        ungated[name] = RunLengths.of(np.logical_or.reduce([empty, *(m for m, _ in found)]))
        active = [m for m, is_active in found if is_active]
        gated[name] = RunLengths.of(np.logical_or.reduce([empty, *active]))
    return gated, ungated


def _size(video: BagVideo, question: Question) -> tuple[int, int]:
    for picture in video.pictures(list(question.frames)):
        if picture is not None:
            return picture.shape[0], picture.shape[1]
    raise SourceError(f"{video.path}: no frame of question {question.id} can be decoded")


def _seconds(stamp: Any) -> float:
    return float(stamp.sec + stamp.nanosec / 1e9)
