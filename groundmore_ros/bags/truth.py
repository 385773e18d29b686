# SPDX-License-Identifier: Apache-2.0
"""The truth topics of simulated bags."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rosbags.highlevel import AnyReader

from groundmore_ros.bags.messages import typestore
from groundmore_ros.bags.sources import open_source, stamp_of
from groundmore_ros.errors import SourceError
from groundmore_ros.run_lengths import RunLengths

__all__ = ["BagTruth", "TrueAnswer", "read_truth"]

TRUTH_ANSWERS, TRUTH_MASKS = "/truth/answers", "/truth/masks"


@dataclass(frozen=True)
class TrueAnswer:
    """A question of a bag and its right answer. Span in ns; object counts from 0."""

    question_id: str
    question: str
    answer: str
    end: int
    window: float
    object: int | None
    span: tuple[int, int] | None

    @property
    def type(self) -> str:
        """The question's type, where its id ends in one."""
        kind = self.question_id.rpartition("-")[2]
        return kind if kind.isalpha() else ""


@dataclass
class BagTruth:
    """A simulated bag's frames, questions and masks by stamp (ns) and object."""

    answers: list[TrueAnswer] = field(default_factory=list)
    masks: dict[tuple[int, int], RunLengths] = field(default_factory=dict)
    pictures: dict[int, NDArray[np.uint8]] = field(default_factory=dict)


def read_truth(path: Path, *, pictures: bool = True) -> BagTruth:
    """Read what a bag tells about its own questions.

    Args:
        path: a simulated bag, or one with the same topics.
        pictures: whether to read the frames too, all of them; episodes are short.

    Raises:
        SourceError: it has no truth topics.
    """
    truth = BagTruth()
    if pictures:
        with open_source(path) as source:
            for frame in source.frames():
                truth.pictures[frame.stamp] = frame.decode()
    with AnyReader([path], default_typestore=typestore()) as reader:
        wanted = [c for c in reader.connections if c.topic in (TRUTH_ANSWERS, TRUTH_MASKS)]
        if not any(c.topic == TRUTH_ANSWERS for c in wanted):
            raise SourceError(f"{path} has no topic {TRUTH_ANSWERS}; simulated bags have")
        for connection, _, raw in reader.messages(wanted):
            message = reader.deserialize(raw, connection.msgtype)
            if connection.topic == TRUTH_MASKS:
                key = (stamp_of(message.header), int(message.object))
                truth.masks[key] = RunLengths(message.counts.copy(), message.height, message.width)
            else:
                truth.answers.append(_true_answer(message))
    return truth


def _nanoseconds(time: Any) -> int:
    return int(time.sec) * 10**9 + int(time.nanosec)


def _true_answer(message: Any) -> TrueAnswer:
    spans = message.spans
    start, end = _nanoseconds(message.start), _nanoseconds(message.end)
    return TrueAnswer(
        question_id=message.question_id,
        question=message.question,
        answer=message.answer,
        end=end,
        window=(end - start) / 1e9,
        object=int(spans[0].object) if spans else None,
        span=(_nanoseconds(spans[0].start), _nanoseconds(spans[0].end)) if spans else None,
    )
