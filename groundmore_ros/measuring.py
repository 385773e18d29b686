# SPDX-License-Identifier: Apache-2.0
"""Ways of doing the same thing, timed in turns in one run."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["in_turns"]


def in_turns(
    ways: dict[str, Callable[[], Any]],
    repeats: int,
    *,
    warm_up: int = 1,
    settle: Callable[[], Any] = lambda: None,
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Time each way, one after the other, again and again: what else runs disturbs all alike.

    Args:
        ways: what to call, by name; the first is what the others are held against.
        repeats: of each.
        warm_up: calls of each beforehand, which do not count.
        settle: waits until what a way has begun is done, as on a GPU.

    Returns:
        a row for each way (median and spread in seconds, and how many times faster than the first
        it is), and what each gave.
    """
    results: dict[str, Any] = {}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(warm_up + repeats):
        for name, way in ways.items():
            began = time.perf_counter()
            results[name] = way()
            settle()
            if turn >= warm_up:
                seconds[name].append(time.perf_counter() - began)
    slowest = float(np.median(seconds[next(iter(ways))]))
    rows = [
        {
            "way": name,
            "seconds": float(np.median(times)),
            "spread": float(np.ptp(times)),
            "ratio": slowest / float(np.median(times)),
        }
        for name, times in seconds.items()
    ]
    return rows, results
