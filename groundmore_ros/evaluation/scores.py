# SPDX-License-Identifier: Apache-2.0
"""One question's row of a report: how it was answered, in numbers."""

from dataclasses import asdict, dataclass, field
from typing import Any

from groundmore_ros.evaluation.predictions import FAILED

__all__ = ["MISSING", "Figures", "Score"]

MISSING = "MISSING"  # the status where nothing was predicted


@dataclass
class Figures:
    """Figures of an answer; None where the truth is not known, or does not allow one.

    Attributes:
        J, F: mean over all scored frames, the truth empty outside the span.
        J_inside, F_inside: over the frames of the span in which the target is seen.
        J_union, F_union: over those, and those in which something is masked.
        J_ungated: before the gate, over all frames in which the target is seen.
        temporal_iou: of the best of the surest spans.
        right: whether the right object was found (or rightly none), 0 or 1, or a chance.
    """

    J: float | None = None
    F: float | None = None
    J_inside: float | None = None
    F_inside: float | None = None
    J_union: float | None = None
    F_union: float | None = None
    J_ungated: float | None = None
    temporal_iou: float | None = None
    right: float | None = None


@dataclass
class Score:
    """One question's row.

    Attributes:
        video, question, type, text, truth, tags: as in the data set; truth in words.
        status, answer, score, error, latencies: as predicted; MISSING where nothing was.
        refused: whether the answer is that there is nothing.
        has_target: whether something is the right answer; None: not known.
        frames: how many were scored; start, seconds: of the clip; span: the true one, s.
        spans: predicted, s.
        figures: of the prediction.
        baselines: of answers that need no model.
    """

    video: str
    question: str
    type: str
    text: str
    truth: str
    tags: tuple[str, ...]
    status: str
    answer: str
    score: float
    error: str
    latencies: dict[str, float]
    refused: bool
    has_target: bool | None
    frames: int
    start: float
    seconds: float
    span: tuple[float, float] | None
    spans: list[tuple[float, float]]
    figures: Figures
    baselines: dict[str, Figures] = field(default_factory=dict)

    @property
    def failed(self) -> bool:
        """Whether nothing was predicted."""
        return self.status in (FAILED, MISSING)

    def as_row(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> "Score":
        """Back from :meth:`as_row` by way of JSON.

        Raises:
            KeyError, TypeError: another version wrote it.
        """
        span = row["span"]
        changed = {
            "tags": tuple(row["tags"]),
            "span": span and (span[0], span[1]),
            "spans": [(a, b) for a, b in row["spans"]],
            "figures": Figures(**row["figures"]),
            "baselines": {k: Figures(**v) for k, v in row["baselines"].items()},
        }
        return cls(**row | changed)
