# SPDX-License-Identifier: Apache-2.0
"""Scores of all questions as a report: by type, with intervals, beside baselines."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from groundmore_ros.evaluation.scores import Figures, Score

__all__ = ["METRICS", "MOTION_TYPES", "interval", "summarise"]

MOTION_TYPES = ("Causal", "Sequential", "Counterfactual", "Descriptive")
BINS = 10  # of scores, for calibration
RECALLS = (0.3, 0.5, 0.7)
DRAWS = 2000  # of the bootstrap
DRAWS_AT_ONCE = 100

Value = Callable[[Figures], float | None]


def _both(j: float | None, f: float | None) -> float | None:
    return None if j is None or f is None else (j + f) / 2


def _recall(threshold: float) -> Value:
    return lambda f: None if f.temporal_iou is None else float(f.temporal_iou >= threshold)


METRICS: dict[str, Value] = {
    "J": lambda f: f.J,
    "F": lambda f: f.F,
    "J&F": lambda f: _both(f.J, f.F),
    "J&F inside": lambda f: _both(f.J_inside, f.F_inside),
    "J inside": lambda f: f.J_inside,
    "J&F union": lambda f: _both(f.J_union, f.F_union),
    "J ungated": lambda f: f.J_ungated,
    "temporal IoU": lambda f: f.temporal_iou,
    **{f"recall@{t}": _recall(t) for t in RECALLS},
    "right object": lambda f: f.right,
}
# What a question without a target says nothing about.
NEEDS_TARGET = {"right object"}


def summarise(scores: Sequence[Score]) -> dict[str, Any]:
    """All figures of a run.

    Each figure is a mean over questions with a 95 % interval: a bootstrap over videos.
    """
    groups = {"all": list(scores)}
    motion = [s for s in scores if s.type in MOTION_TYPES]
    if 0 < len(motion) < len(scores):
        groups["motion"] = motion
    others = sorted({s.type for s in scores} - set(MOTION_TYPES))
    for kind in (*MOTION_TYPES, *others):
        group = [s for s in scores if s.type == kind]
        if group:
            groups[kind or "(no type)"] = group
    asked = motion or list(scores)
    tags = sorted({t for s in scores for t in s.tags})
    return {
        "videos": len({s.video for s in scores}),
        "questions": len(scores),
        "failed": sum(s.failed for s in scores),
        "without truth": sum(s.figures.J is None for s in scores),
        "groups": {name: _row(group) for name, group in groups.items()},
        "tags": {tag: _row([s for s in asked if tag in s.tags]) for tag in tags},
        "nothing": _refusals(asked),
        "calibration": _calibration(asked),
        "latency": _latencies(scores),
    }


def _row(scores: Sequence[Score]) -> dict[str, Any]:
    names = sorted({b for s in scores for b in s.baselines}, key=_BASELINE_ORDER.index)
    return {
        "questions": len(scores),
        "with target": sum(s.has_target is True for s in scores),
        "failed": sum(s.failed for s in scores),
        **{name: _metric(name, scores) for name in METRICS},
        "baselines": {b: {n: _baseline(b, n, scores) for n in METRICS} for b in names},
    }


_BASELINE_ORDER = (
    "all empty",
    "whole clip",
    "random object",
    "largest motion",
    "fastest not named",
)


def _counted(name: str, scores: Sequence[Score]) -> list[Score]:
    return [s for s in scores if s.has_target] if name in NEEDS_TARGET else list(scores)


def _metric(name: str, scores: Sequence[Score]) -> list[float] | None:
    value = METRICS[name]
    return interval([(s.video, value(s.figures)) for s in _counted(name, scores)])


def _baseline(baseline: str, name: str, scores: Sequence[Score]) -> float | None:
    """A question about which the baseline is not known counts for neither side."""
    value = METRICS[name]
    found = [
        value(s.baselines[baseline]) for s in _counted(name, scores) if baseline in s.baselines
    ]
    known = [v for v in found if v is not None]
    return float(np.mean(known)) if known else None


def interval(values: Sequence[tuple[str, float | None]]) -> list[float] | None:
    """Mean of (video, value), and the 2.5th and 97.5th percentile of it with videos drawn anew."""
    sums: dict[str, list[float]] = {}
    for video, value in values:
        if value is not None:
            sums.setdefault(video, []).append(value)
    if not sums:
        return None
    totals = np.array([sum(v) for v in sums.values()])
    counts = np.array([len(v) for v in sums.values()])
    rng = np.random.default_rng(0)
    means = []
    for _ in range(DRAWS // DRAWS_AT_ONCE):
        drawn = rng.integers(len(totals), size=(DRAWS_AT_ONCE, len(totals)))
        means.append(totals[drawn].sum(axis=1) / counts[drawn].sum(axis=1))
    low, high = np.percentile(np.concatenate(means), [2.5, 97.5])
    return [float(totals.sum() / counts.sum()), float(low), float(high)]


def _refusals(scores: Sequence[Score]) -> dict[str, Any]:
    nothing = [s for s in scores if s.has_target is False]
    something = [s for s in scores if s.has_target]
    return {
        "questions": len(nothing),
        "said so": interval([(s.video, s.figures.right) for s in nothing]),
        "false refusals": interval([(s.video, float(s.refused)) for s in something]),
    }


def _calibration(scores: Sequence[Score]) -> dict[str, Any] | None:
    """How far an answer's score is from the chance that its object is right.

    Expected calibration error of Guo et al., "On Calibration of Modern Neural Networks" (ICML
    2017), over answers that name an object. An answer where nothing is right is wrong.
    """
    told = [s for s in scores if not (s.failed or s.refused) and s.has_target is not None]
    known = [s for s in told if s.figures.right is not None]
    if not known:
        return None
    sure = np.array([s.score for s in known])
    right = np.array([s.figures.right if s.has_target else 0.0 for s in known])
    which = np.minimum((sure * BINS).astype(int), BINS - 1)
    bins = [
        {
            "answers": int((which == b).sum()),
            "score": float(sure[which == b].mean()),
            "right": float(right[which == b].mean()),
        }
        for b in range(BINS)
        if (which == b).any()
    ]
    error = sum(b["answers"] * abs(b["score"] - b["right"]) for b in bins) / len(known)
    return {"answers": len(known), "expected error": float(error), "bins": bins}


def _latencies(scores: Sequence[Score]) -> dict[str, dict[str, float]]:
    parts = sorted({p for s in scores for p in s.latencies})
    found = {p: [s.latencies[p] for s in scores if p in s.latencies] for p in parts}
    return {
        part: {"median": float(np.median(v)), "p95": float(np.percentile(v, 95)), "sum": sum(v)}
        for part, v in found.items()
    }
