# SPDX-License-Identifier: Apache-2.0
"""Measures the metrics against their plain form, in one run."""

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundmore_ros.evaluation.metrics import boundary_f_measure, region_similarity
from groundmore_ros.evaluation.reference import plain_boundary_f_measure, plain_region_similarity

__all__ = ["bench_metrics"]

SIZES = ((480, 854), (720, 1280))
Mask = NDArray[np.bool_]


def bench_metrics(repeats: int) -> list[dict[str, Any]]:
    """Medians of J and F together, ms a frame, for kinds of masks; turns are taken."""
    rows = []
    for height, width in SIZES:
        for kind, (truth, prediction) in _masks(height, width).items():
            ours: list[float] = []
            plain: list[float] = []
            for _ in range(repeats):
                ours.append(_time(_fast, truth, prediction))
                plain.append(_time(_plain, truth, prediction))
            fast, slow = float(np.median(ours)), float(np.median(plain))
            figures = {"ours (ms)": fast, "plain (ms)": slow, "ratio": slow / fast}
            rows.append({"size": f"{width}x{height}", "masks": kind, **figures})
    return rows


def _fast(truth: Mask, prediction: Mask) -> None:
    region_similarity(truth, prediction)
    boundary_f_measure(truth, prediction)


def _plain(truth: Mask, prediction: Mask) -> None:
    plain_region_similarity(truth, prediction)
    plain_boundary_f_measure(truth, prediction)


def _time(call: Callable[[Mask, Mask], None], truth: Mask, prediction: Mask) -> float:
    began = time.perf_counter()
    call(truth, prediction)
    return 1000 * (time.perf_counter() - began)


def _masks(height: int, width: int) -> dict[str, tuple[Mask, Mask]]:
    rng = np.random.default_rng(0)
    radius = math.sqrt(0.1 * height * width / math.pi)

    def disk(x: float, y: float, r: float, flat: float = 1.0) -> Mask:
        rows, columns = np.mgrid[:height, :width]
        return np.asarray(((rows - y) * flat) ** 2 + ((columns - x) / flat) ** 2 < r * r)

    middle = (width / 2, height / 2)
    off = (width / 2 + 9, height / 2 + 5)
    return {
        "a tenth of the frame": (disk(*middle, radius), disk(*off, radius)),
        "a tenth, wide": (disk(*middle, radius, 1.6), disk(*off, radius, 1.6)),
        "small": (disk(60, 60, 12), disk(63, 61, 12)),
        "in two corners": (disk(30, 30, 25), disk(width - 30, height - 30, 25)),
        "a tenth each, apart": (
            disk(width / 4, height / 2, radius),
            disk(3 * width / 4, height / 2, radius),
        ),
        "noise": (rng.random((height, width)) < 0.5, rng.random((height, width)) < 0.5),
        "dots in noise": (rng.random((height, width)) < 0.002, rng.random((height, width)) < 0.5),
        "empty": (np.zeros((height, width), bool), np.zeros((height, width), bool)),
        "full": (np.ones((height, width), bool), np.ones((height, width), bool)),
    }
