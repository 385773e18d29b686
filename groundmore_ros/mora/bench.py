# SPDX-License-Identifier: Apache-2.0
"""Measures loading and answering against their plain forms, in one run."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundmore_ros.errors import ModelError
from groundmore_ros.mora.assistant import Mora
from groundmore_ros.mora.plain import plain_answer

__all__ = ["bench_loading", "bench_question"]

QUESTION = "Which object moves after the ball hits the box?"
# Peak memory of a process of its own: what loading adds to what Python and torch hold anyway.
_LOADING = """
import json, resource, sys
import torch
from groundmore_ros.mora.assistant import Mora
from groundmore_ros.mora.loading import LoadOptions, load
from pathlib import Path
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
model, _ = load(Path(sys.argv[1]), LoadOptions(dtype=sys.argv[2]))
held = sum(p.nbytes for p in model.parameters())
# Pages of a mapped file count when they are read: read one byte of each.
pages = [p.detach().reshape(-1).view(torch.uint8)[::4096].sum() for p in model.parameters()]
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"held": held, "peak": 1024 * (after - before)}))
"""


def bench_question(mora: Mora, frames: int, repeats: int) -> list[dict[str, Any]]:
    """Medians of a question about a clip of 1280x720: plain, encoded anew, from kept features."""
    rng = np.random.default_rng(0)
    clip = [rng.integers(0, 256, (720, 1280, 3)).astype(np.uint8) for _ in range(frames)]
    stamps = [t / 6 for t in range(frames)]
    features = [mora.encode(f) for f in clip]
    ways: dict[str, Callable[[], Any]] = {
        "plain, frame by frame": lambda: plain_answer(mora, clip, QUESTION),
        "nothing kept": lambda: mora.answer(clip, stamps, QUESTION).mask_logits,
        "features kept": lambda: mora.answer_features(features, stamps, QUESTION).mask_logits,
    }
    if "{" not in mora.config.answer_template:
        told = Mora(mora.model, mora.tokenizer, mora.name, reasoning="prefill")
        ways["features kept, prefilled"] = lambda: told.answer_features(features, stamps, QUESTION)
    if mora.config.pooling != "frame":
        ways.pop("plain, frame by frame")
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    results: dict[str, Any] = {}
    for _ in range(repeats):
        for name, way in ways.items():
            began = time.perf_counter()
            results[name] = way()
            seconds[name].append(time.perf_counter() - began)
    slowest = float(np.median(seconds[next(iter(ways))]))
    first = results[next(iter(ways))]
    return [
        {
            "way": name,
            "seconds": float(np.median(times)),
            "spread": float(np.ptp(times)),
            "ratio": slowest / float(np.median(times)),
            "difference": _difference(first, results[name]),
        }
        for name, times in seconds.items()
    ]


def _difference(first: NDArray[np.float32], other: Any) -> float | None:
    """Largest difference of mask logits; None where the way gives another kind of answer."""
    if not isinstance(other, np.ndarray):
        return None
    return float(np.abs(first - other).max())


def bench_loading(folder: Path, dtype: str) -> dict[str, float]:
    """Peak memory that loading adds, against what the loaded model holds; bytes.

    Raises:
        ModelError: the model cannot be loaded.
    """
    done = subprocess.run(
        [sys.executable, "-c", _LOADING, str(folder), dtype],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ModelError(f"{folder}: {(done.stderr.strip().splitlines() or ['crashed'])[-1]}")
    figures: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return figures | {"ratio": figures["peak"] / figures["held"]}
