# SPDX-License-Identifier: Apache-2.0
"""How one question was answered, in numbers, and how baselines would have answered it.

Shape legend: T scored frames.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundmore_ros.datasets.base import Question, Video, union
from groundmore_ros.errors import GroundmoreError
from groundmore_ros.evaluation.answering import chosen_frames, inside
from groundmore_ros.evaluation.metrics import (
    Mask,
    boundary_f_measure,
    region_similarity,
    temporal_iou,
)
from groundmore_ros.evaluation.predictions import FAILED, Prediction

__all__ = ["Figures", "Score", "VideoScorer"]

MISSING = "MISSING"
RIGHT = 0.5  # mean J above which the right object was found


@dataclass
class Figures:
    """Figures of an answer; None where the truth is not known, or does not allow one.

    Attributes:
        J, F: mean over all scored frames, the truth empty outside the span.
        J_inside, F_inside: over the frames of the span in which the target is seen.
        J_union, F_union: over those, and those in which something is masked.
        J_ungated: before the gate, over all frames in which the target is seen.
        temporal_iou: of the best span.
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
    """One question's row in the report.

    Attributes:
        video, question, type, text, truth, tags: as in the data set; truth in words.
        status, answer, score, error, latencies: as predicted; MISSING where nothing was.
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

    @property
    def refused(self) -> bool:
        """Whether the answer is that there is nothing."""
        return self.status == "NO_OBJECT"

    def as_row(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> "Score":
        """Back from :meth:`as_row` by way of JSON."""
        span = row["span"]
        changed = {
            "tags": tuple(row["tags"]),
            "span": span and (span[0], span[1]),
            "spans": [(a, b) for a, b in row["spans"]],
            "figures": Figures(**row["figures"]),
            "baselines": {k: Figures(**v) for k, v in row["baselines"].items()},
        }
        return cls(**row | changed)


class VideoScorer:
    """Scores the questions about one video; what they share is computed once."""

    def __init__(self, video: Video, frames: int | None) -> None:
        """``frames`` of a clip are scored, evenly; None: all."""
        self._video, self._frames = video, frames
        self._maps: dict[int, NDArray[np.uint8] | None] = {}
        self._pairs: dict[tuple[int, tuple[int, ...], int], tuple[float, float]] = {}

    def score(self, question: Question, prediction: Prediction | None) -> Score:
        """Score an answer; a missing or failed one gets 0 everywhere."""
        indices = chosen_frames(question, self._frames)
        error = prediction.error if prediction else ""
        status = prediction.status if prediction else MISSING
        truth = _Truth(self._video, question, [] if self._video.missing else indices)
        figures = truth.failure()
        if prediction and not prediction.failed:
            try:
                figures = truth.figures(
                    *_predicted(prediction, truth.names), _spans(prediction, truth)
                )
            except GroundmoreError as mismatch:
                status, error = FAILED, str(mismatch)
        baselines = self._baselines(question, prediction, truth) if truth.known else {}
        clip = list(question.frames)
        return Score(
            video=self._video.id,
            question=question.id,
            type=question.type,
            text=question.text,
            truth=question.answer,
            tags=question.tags,
            status=status,
            answer=prediction.text if prediction else "",
            score=prediction.score if prediction else 0.0,
            error=error or self._video.missing,
            latencies=prediction.latencies if prediction else {},
            has_target=question.has_target,
            frames=len(truth.names),
            start=float(self._video.stamps[clip[0]]) if clip else 0.0,
            seconds=float(np.ptp(self._video.stamps[clip])) if clip else 0.0,
            span=question.span,
            spans=[] if prediction is None else [(s[0], s[1]) for s in _spans(prediction, truth)],
            figures=figures,
            baselines=baselines,
        )

    # --- baselines
    # ---------------------------------------------------------------------------------

    def _baselines(
        self, question: Question, prediction: Prediction | None, truth: "_Truth"
    ) -> dict[str, Figures]:
        nothing: list[Mask | None] = [_empty(m) for m in truth.targets]
        found = {"all empty": truth.figures(nothing, nothing, [], refused=True)}
        if prediction and not prediction.failed and prediction.status != "NO_OBJECT":
            ungated = [prediction.before_gate(n) for n in truth.names]
            # Masks of another size: the prediction itself counts as failed.
            with suppress(GroundmoreError):
                found["whole clip"] = truth.figures(ungated, ungated, [truth.whole])
        elif prediction and not prediction.failed:
            found["whole clip"] = found["all empty"]
        return found | self._object_baselines(question, truth)

    def _object_baselines(self, question: Question, truth: "_Truth") -> dict[str, Figures]:
        """Answers that are one of the objects, perfectly masked, in the whole clip."""
        maps = [m for i in truth.indices if (m := self._map(i)) is not None]
        if not maps or len(maps) < len(truth.indices):
            return {}
        present = np.bincount(np.concatenate([m.ravel() for m in maps]), minlength=1)
        numbers = [int(n) for n in np.flatnonzero(present) if n]
        if not numbers:
            return {}
        each = {n: self._object_figures(n, question, truth) for n in numbers}
        chosen = {rule: each[n] for rule, n in self._video.rivals(question).items() if n in each}
        return {"random object": _mean(each.values())} | chosen

    def _object_figures(self, number: int, question: Question, truth: "_Truth") -> Figures:
        pairs = [self._pair(i, question.objects, number) for i in truth.indices]
        masks = [np.asarray(self._map(i) == number) for i in truth.indices]
        return truth.figures(masks, masks, [truth.whole], known_pairs=pairs)

    def _pair(self, index: int, target: tuple[int, ...], number: int) -> tuple[float, float]:
        """J and F of an object against the target in a frame."""
        key = (index, target, number)
        if key not in self._pairs:
            maps = self._map(index)
            assert maps is not None, "only frames whose objects are known are paired"
            wanted, found = union(maps, target), np.asarray(maps == number)
            self._pairs[key] = (
                region_similarity(wanted, found),
                boundary_f_measure(wanted, found),
            )
        return self._pairs[key]

    def _map(self, index: int) -> NDArray[np.uint8] | None:
        if index not in self._maps:
            self._maps[index] = self._video.objects(index)
        return self._maps[index]


class _Truth:
    """What is true of a question in the scored frames, and how answers compare with it."""

    def __init__(self, video: Video, question: Question, indices: Sequence[int]) -> None:
        self.question = question
        self.targets = [video.truth(question, i) for i in indices]
        kept = [t for t, m in enumerate(self.targets) if m is not None]
        self.known = bool(kept) or question.has_target is not None
        self.masked = bool(kept)
        self.all_names = [video.names[i] for i in indices]
        self.all_stamps = [float(video.stamps[i]) for i in indices]
        # Frames whose truth is not known are not scored.
        if kept:
            self.targets = [self.targets[t] for t in kept]
            indices = [indices[t] for t in kept]
        self.indices = list(indices)
        self.names = [video.names[i] for i in self.indices]
        stamps = [float(video.stamps[i]) for i in self.indices]
        self.whole = (stamps[0], stamps[-1], 1.0) if stamps else (0.0, 0.0, 1.0)
        span = question.span
        self.inside = [span is None or inside(s, span) for s in stamps]
        self.seen = [m is not None and bool(m.any()) for m in self.targets]

    def failure(self) -> Figures:
        """The figures of no answer: 0 wherever there could have been one."""
        asked = 0.0 if self.question.has_target is not None else None
        # Masks that could not have been compared with anything are no failure.
        comparable = self.masked or not self.indices
        masks = asked if comparable else None
        inside = masks if self.question.has_target else None
        located = 0.0 if self.question.span is not None else None
        right = asked if comparable or self.question.has_target is False else None
        return Figures(masks, masks, inside, inside, inside, inside, inside, located, right)

    def figures(
        self,
        gated: Sequence[Mask | None],
        ungated: Sequence[Mask | None],
        spans: Sequence[tuple[float, ...]],
        *,
        refused: bool | None = None,
        known_pairs: Sequence[tuple[float, float]] | None = None,
    ) -> Figures:
        """Compare masks of the scored frames, and spans, with the truth.

        Args:
            gated: None where a frame has no prediction, which scores 0.
            ungated: before the gate.
            spans: s.
            refused: whether the answer is that there is nothing; None: where no mask is.
            known_pairs: J and F of the frames in which the target counts, if computed before.
        """
        out = Figures()
        if self.question.has_target and self.question.span is not None:
            out.temporal_iou = max(
                (temporal_iou(s[:2], self.question.span) for s in spans), default=0.0
            )
        empty = not any(_any(m) for m in ungated)
        refused = empty if refused is None else refused
        if self.question.has_target is False:
            out.right = float(refused)
        if not self.masked:
            return out
        frames = range(len(self.indices))
        counts = [self.seen[t] and self.inside[t] for t in frames]
        values = [
            known_pairs[t]
            if known_pairs and counts[t]
            else _compare(self.targets[t], counts[t], gated[t])
            for t in frames
        ]
        masked = [_any(gated[t]) for t in frames]
        out.J, out.F = _means(values)
        if self.question.has_target:
            out.J_inside, out.F_inside = _means([values[t] for t in frames if counts[t]])
            either = [values[t] for t in frames if counts[t] or masked[t]]
            out.J_union, out.F_union = _means(either)
            overlaps = [
                values[t][0]
                if counts[t] and gated[t] is ungated[t]
                else _overlap(self.targets[t], ungated[t])
                for t in frames
                if self.seen[t]
            ]
            out.J_ungated = float(np.mean(overlaps)) if overlaps else None
            out.right = None if out.J_ungated is None else float(out.J_ungated > RIGHT)
        return out


def _compare(target: Any, counts: bool, found: Mask | None) -> tuple[float, float]:
    """J and F of a frame; the truth is empty where the target does not count."""
    if found is None:
        return 0.0, 0.0
    if not counts:
        alike = 0.0 if _any(found) else 1.0
        _same_size(target, found)
        return alike, alike
    return region_similarity(target, found), boundary_f_measure(target, found)


def _overlap(target: Any, found: Mask | None) -> float:
    return 0.0 if found is None else region_similarity(target, found)


def _same_size(target: Mask, found: Mask) -> None:
    if target.shape != found.shape:
        raise GroundmoreError(f"a mask is {found.shape}; its frame is {target.shape}")


def _any(mask: Mask | None) -> bool:
    if mask is None:
        return False
    return bool(mask.any()) if isinstance(mask, np.ndarray) else mask.area > 0


def _empty(mask: Any) -> Any:
    return None if mask is None else np.zeros_like(mask)


def _means(values: Sequence[tuple[float, float]]) -> tuple[float | None, float | None]:
    if not values:
        return None, None
    j, f = np.mean(values, axis=0)
    return float(j), float(f)


def _mean(every: Iterable[Figures]) -> Figures:
    rows = [asdict(f) for f in every]
    return Figures(
        **{
            name: float(np.mean([r[name] for r in rows])) if rows[0][name] is not None else None
            for name in rows[0]
        }
    )


def _predicted(
    prediction: Prediction, names: Sequence[str]
) -> tuple[list[Mask | None], list[Mask | None]]:
    gated: list[Mask | None] = [prediction.masks.get(n) for n in names]
    ungated: list[Mask | None] = [prediction.before_gate(n) for n in names]
    return gated, ungated


def _spans(prediction: Prediction, truth: _Truth) -> list[tuple[float, ...]]:
    """As told, or else the runs of frames in which something is masked."""
    if prediction.spans is not None:
        return list(prediction.spans)
    spans: list[tuple[float, ...]] = []
    start = end = None
    for name, stamp in zip(truth.all_names, truth.all_stamps, strict=True):
        if _any(prediction.masks.get(name)):
            start, end = (stamp if start is None else start), stamp
        elif start is not None and end is not None:
            spans.append((start, end))
            start = end = None
    if start is not None and end is not None:
        spans.append((start, end))
    return spans
