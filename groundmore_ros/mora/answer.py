# SPDX-License-Identifier: Apache-2.0
"""Answers: masks, spans and scores, with the temporal gate applied where it is asked for.

Shape legend: T frames of H x W pixels.
"""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["NO_MASK_LOGIT", "Answer", "AnsweredObject", "Span", "Status", "find_spans", "gate"]

NO_MASK_LOGIT = -20.0

Span = tuple[float, float, float]  # start, end (s, closed) and score


class Status(IntEnum):
    """What became of a question; the numbers are those of the ROS message MotionAnswer."""

    OK = 0
    NO_OBJECT = 1
    NO_FRAMES = 2
    BAD_QUESTION = 3
    OVERLOADED = 4
    EXPIRED = 5
    CANCELLED = 6
    FAILED = 7


@dataclass(frozen=True)
class AnsweredObject:
    """One object of an answer.

    Attributes:
        mask_logits: float32 (T, H, W), before the gate.
        frame_scores: float32 (T,), chance of each frame being inside the event.
        active: bool (T,), the gate.
        spans: first to last active frame's stamp of each run.
        score: 0..1.
        prompt: what it is followed by into later frames (``Mora.follow``).
    """

    mask_logits: NDArray[np.float32]
    frame_scores: NDArray[np.float32]
    active: NDArray[np.bool_]
    spans: list[Span]
    score: float
    prompt: Any = field(default=None, repr=False, compare=False)

    @property
    def masks(self) -> NDArray[np.bool_]:
        """Bool (T, H, W): inside the mask and inside the event."""
        return np.asarray((self.mask_logits > 0) & self.active[:, None, None])


@dataclass(frozen=True)
class Answer:
    """What a model answers about a clip.

    Attributes:
        text: as generated.
        status: OK or NO_OBJECT.
        score: 0..1.
        stamps: float64 (T,), s.
        size: (H, W).
        objects: none where the status is NO_OBJECT.
    """

    text: str
    status: Status
    score: float
    stamps: NDArray[np.float64]
    size: tuple[int, int]
    objects: list[AnsweredObject]

    @property
    def masks(self) -> NDArray[np.bool_]:
        """Bool (T, H, W), gated: the union over objects."""
        empty = np.zeros((len(self.stamps), *self.size), bool)
        return np.asarray(np.logical_or.reduce([empty, *(o.masks for o in self.objects)]))

    @property
    def mask_logits(self) -> NDArray[np.float32]:
        """Float32 (T, H, W), before the gate: the maximum over objects; negative without any."""
        if not self.objects:
            return np.full((len(self.stamps), *self.size), NO_MASK_LOGIT, np.float32)
        return np.asarray(np.maximum.reduce([o.mask_logits for o in self.objects]))

    @property
    def frame_scores(self) -> NDArray[np.float32]:
        """Float32 (T,): the maximum over objects; zero without any."""
        if not self.objects:
            return np.zeros(len(self.stamps), np.float32)
        return np.asarray(np.maximum.reduce([o.frame_scores for o in self.objects]))

    @property
    def spans(self) -> list[Span]:
        """All objects' spans, by start."""
        return sorted(span for o in self.objects for span in o.spans)

    @property
    def plain_text(self) -> str:
        """The text without the tokens that stand for masks and spans."""
        text = self.text.replace("[SEG]", "").replace("[LOC]", "")
        return " ".join(text.split()).replace(" .", ".").replace(" ,", ",")


def gate(scores: NDArray[np.float32], threshold: float) -> NDArray[np.bool_]:
    """Which frames (T,) are inside the event: at least the threshold, or else the likeliest."""
    return np.asarray(scores >= min(threshold, float(scores.max())))


def find_spans(
    active: NDArray[np.bool_], stamps: NDArray[np.float64], scores: NDArray[np.float32]
) -> list[Span]:
    """Runs of active frames, each from its first to its last stamp, with its mean score."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], active.astype(np.int8), [0]])))
    return [
        (float(stamps[a]), float(stamps[b - 1]), float(scores[a:b].mean()))
        for a, b in zip(edges[::2], edges[1::2], strict=True)
    ]
