# SPDX-License-Identifier: Apache-2.0
"""Answers against the truth, and against what baselines would have answered.

Shape legend: T scored frames.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray

from groundmore_ros.datasets.base import Question, Video, union
from groundmore_ros.errors import GroundmoreError
from groundmore_ros.evaluation.answering import Asking, inside, scored_frames
from groundmore_ros.evaluation.metrics import (
    Mask,
    boundary_f_measure,
    region_similarity,
    temporal_iou,
)
from groundmore_ros.evaluation.predictions import FAILED, Prediction
from groundmore_ros.evaluation.scores import MISSING, Figures, Score

__all__ = ["VideoScorer"]

RIGHT = 0.5  # mean J above which the right object was found
MOST_SPANS = 3  # the surest; a long list of guesses would always hold a good one
MOST_MAPS = 128  # frames whose object maps are held

Span = tuple[float, ...]


class VideoScorer:
    """Scores the questions about one video; what they share is computed once."""

    def __init__(self, video: Video, asking: Asking) -> None:
        """``asking`` tells which frames are scored."""
        self._video, self._asking = video, asking
        self._maps: OrderedDict[int, NDArray[np.uint8] | None] = OrderedDict()
        self._pairs: dict[tuple[int, tuple[int, ...], int], tuple[float, float]] = {}

    def score(self, question: Question, prediction: Prediction | None) -> Score:
        """Score an answer; a missing or failed one gets 0 everywhere."""
        if self._video.missing:
            prediction = None  # masks of frames that are not there
        truth = _Truth(self._video, question, self._asking)
        figures, failed = truth.failure(), ""
        if prediction and not prediction.failed:
            try:
                masks = _predicted(prediction, truth.names)
                figures = truth.figures(*masks, truth.spans(prediction))
            except GroundmoreError as mismatch:
                failed = str(mismatch)
        status = prediction.status if prediction else MISSING
        clip = list(question.frames)
        known = bool(clip) and not self._video.missing
        return Score(
            video=self._video.id,
            question=question.id,
            type=question.type,
            text=question.text,
            truth=question.answer,
            tags=question.tags,
            status=FAILED if failed else status,
            answer=prediction.text if prediction else "",
            score=prediction.score if prediction else 0.0,
            error=failed or (prediction.error if prediction else self._video.missing),
            latencies=prediction.latencies if prediction else {},
            refused=prediction is not None and _refuses(prediction),
            has_target=question.has_target,
            frames=len(truth.names),
            start=float(self._video.stamps[clip[0]]) if known else 0.0,
            seconds=float(np.ptp(self._video.stamps[clip])) if known else 0.0,
            span=question.span,
            spans=[(s[0], s[1]) for s in truth.spans(prediction)] if prediction else [],
            figures=figures,
            baselines=self._baselines(question, None if failed else prediction, truth),
        )

    # --- baselines
    # ---------------------------------------------------------------------------------

    def _baselines(
        self, question: Question, prediction: Prediction | None, truth: "_Truth"
    ) -> dict[str, Figures]:
        """They are told about the same questions as the model: where it failed, so did they."""
        if self._video.missing:
            return dict.fromkeys(("all empty", "whole clip"), truth.failure())
        nothing = [None if m is None else np.zeros_like(m) for m in truth.targets]
        found = {"all empty": truth.figures(nothing, nothing, [])}
        found["whole clip"] = truth.failure()
        if prediction and not prediction.failed:
            ungated = [prediction.before_gate(n) for n in truth.names]
            spans = [] if _refuses(prediction) else [truth.whole]
            with suppress(GroundmoreError):
                found["whole clip"] = truth.figures(ungated, ungated, spans)
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
        chosen = self._video.rivals(question)
        return {"random object": _mean(each.values())} | {
            rule: each[n] for rule, n in chosen.items() if n in each
        }

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
            same = target == (number,)
            found = np.asarray(maps == number)
            self._pairs[key] = (1.0, 1.0) if same else _both(union(maps, target), found)
        return self._pairs[key]

    def _map(self, index: int) -> NDArray[np.uint8] | None:
        if index not in self._maps:
            self._maps[index] = self._video.objects(index)
            if len(self._maps) > MOST_MAPS:
                self._maps.popitem(last=False)
        return self._maps[index]


class _Truth:
    """What is true of a question in the scored frames, and how answers compare with it."""

    def __init__(self, video: Video, question: Question, asking: Asking) -> None:
        self.question = question
        indices = [] if video.missing else scored_frames(video, question, asking)
        targets = [video.truth(question, i) for i in indices]
        self._all_names = [video.names[i] for i in indices]
        self._all_stamps = [float(video.stamps[i]) for i in indices]
        # Frames whose truth is not known are not scored.
        kept = [t for t, m in enumerate(targets) if m is not None]
        self.masked = bool(kept)
        chosen = kept or range(len(indices))
        self.indices = [indices[t] for t in chosen]
        self.targets = [targets[t] for t in chosen]
        self.names = [video.names[i] for i in self.indices]
        stamps = [float(video.stamps[i]) for i in self.indices]
        self.whole: Span = (stamps[0], stamps[-1], 1.0) if stamps else (0.0, 0.0, 1.0)
        span = question.span
        self.seen = [m is not None and bool(m.any()) for m in self.targets]
        during = [span is None or inside(s, span) for s in stamps]
        # The frames of the event in which there is something to be found.
        self.counts = [a and b for a, b in zip(self.seen, during, strict=True)]

    def failure(self) -> Figures:
        """The figures of no answer: 0 wherever there could have been one."""
        asked = 0.0 if self.question.has_target is not None else None
        # Masks that could not have been compared with anything are no failure; what is true of
        # frames that are not there is not known, and they count.
        comparable = self.masked or not self.indices
        masks = asked if comparable else None
        located = 0.0 if self.question.span is not None else None
        target = masks if self.question.has_target else None
        event = target if any(self.counts) or not self.indices else None
        seen = target if any(self.seen) or not self.indices else None
        right = seen if self.question.has_target else asked
        return Figures(masks, masks, event, event, event, event, seen, located, right)

    def figures(
        self,
        gated: Sequence[Mask | None],
        ungated: Sequence[Mask | None],
        spans: Sequence[Span],
        *,
        known_pairs: Sequence[tuple[float, float]] | None = None,
    ) -> Figures:
        """Compare masks of the scored frames, and spans, with the truth.

        Args:
            gated: None where a frame has no prediction, which scores 0.
            ungated: before the gate.
            spans: s.
            known_pairs: J and F of the frames in which the target counts, if computed before.

        Raises:
            GroundmoreError: a mask has another size than its frame.
        """
        out = Figures()
        if self.question.has_target and self.question.span is not None:
            span = self.question.span
            out.temporal_iou = max((temporal_iou(s[:2], span) for s in spans), default=0.0)
        if self.question.has_target is False:
            out.right = float(not any(_any(m) for m in ungated))
        if not self.masked:
            return out
        frames = range(len(self.indices))
        values = [
            known_pairs[t] if known_pairs and self.counts[t] else self._compare(t, gated[t])
            for t in frames
        ]
        out.J, out.F = _means(values)
        if self.question.has_target and any(self.counts):
            out.J_inside, out.F_inside = _means([values[t] for t in frames if self.counts[t]])
            either = [values[t] for t in frames if self.counts[t] or _any(gated[t])]
            out.J_union, out.F_union = _means(either)
        if self.question.has_target and any(self.seen):
            overlaps = [
                values[t][0]
                if self.counts[t] and gated[t] is ungated[t]
                else _overlap(self.targets[t], ungated[t])
                for t in frames
                if self.seen[t]
            ]
            out.J_ungated = float(np.mean(overlaps))
            out.right = float(out.J_ungated > RIGHT)
        return out

    def _compare(self, t: int, found: Mask | None) -> tuple[float, float]:
        """J and F of a frame; the truth is empty where the target does not count."""
        target = self.targets[t]
        assert target is not None, "only frames whose truth is known are scored"
        if found is None:
            return 0.0, 0.0
        if self.counts[t]:
            return _both(target, found)
        if target.shape == found.shape and not _any(found):
            return 1.0, 1.0
        return _both(np.zeros_like(target), found)

    def spans(self, prediction: Prediction) -> list[Span]:
        """The surest as told, or else the runs of frames in which something is masked."""
        if prediction.spans is not None:
            return sorted(sorted(prediction.spans, key=lambda s: -s[2])[:MOST_SPANS])
        spans: list[Span] = []
        previous = False
        for name, stamp in zip(self._all_names, self._all_stamps, strict=True):
            masked = _any(prediction.masks.get(name))
            if masked:
                spans.append((spans.pop()[0], stamp) if previous else (stamp, stamp))
            previous = masked
        return spans


def _both(target: Mask, found: Mask) -> tuple[float, float]:
    return region_similarity(target, found), boundary_f_measure(target, found)


def _overlap(target: Mask | None, found: Mask | None) -> float:
    return 0.0 if found is None or target is None else region_similarity(target, found)


def _any(mask: Mask | None) -> bool:
    if mask is None:
        return False
    return bool(mask.any()) if isinstance(mask, np.ndarray) else mask.area > 0


def _refuses(prediction: Prediction) -> bool:
    """Whether an answer is that there is nothing."""
    masks = (*prediction.masks.values(), *prediction.ungated.values())
    return not prediction.failed and not any(_any(m) for m in masks)


def _means(values: Sequence[tuple[float, float]]) -> tuple[float, float]:
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
