# SPDX-License-Identifier: Apache-2.0
"""Measures loading and answering against their plain forms, in one run."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from groundmore_ros.errors import ModelError
from groundmore_ros.measuring import in_turns
from groundmore_ros.mora.assistant import Mora
from groundmore_ros.mora.plain import plain_answer

__all__ = ["bench_loading", "bench_question", "bench_together", "settled"]

QUESTION = "Which object moves after the ball hits the box?"
QUESTIONS = (QUESTION, "What falls?", "Who moved first of all?", "The red ball")
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


def bench_question(
    mora: Mora, clip: Sequence[NDArray[np.uint8]], repeats: int
) -> list[dict[str, Any]]:
    """Medians of a question about a clip (T of (H, W, 3)): plain, encoded anew, features kept."""
    stamps = [t / 6 for t in range(len(clip))]
    features = [mora.encode(f) for f in clip]
    ways: dict[str, Callable[[], Any]] = {
        "plain, frame by frame": lambda: plain_answer(mora, clip, QUESTION),
        "nothing kept": lambda: mora.answer(clip, stamps, QUESTION).mask_logits,
        "features kept": lambda: mora.answer_features(features, stamps, QUESTION).mask_logits,
    }
    if "{" not in mora.config.answer_template:
        told = Mora(mora.model, mora.tokenizer, mora.name, reasoning="prefill")
        ways["features kept, prefilled"] = lambda: told.answer_features(features, stamps, QUESTION)
    if mora.config.pooling != "frame" or mora.model.segmenter.graphs:
        ways.pop("plain, frame by frame")
    encoding = {name: _encoding(mora, way) for name, way in ways.items()}
    rows, results = in_turns(ways, repeats)
    first = results[next(iter(ways))]
    return [
        row | encoding[row["way"]] | {"difference": _difference(first, results[row["way"]])}
        for row in rows
    ]


def settled(device: torch.device) -> None:
    """Wait until a GPU has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _encoding(mora: Mora, way: Callable[[], Any]) -> dict[str, float]:
    """How often a way runs SAM's encoder and CLIP, wherever they run, and for how long in all."""
    model, segmenter = mora.model, mora.model.segmenter
    # The class, as the plain way has an encoder of its own; or the graph that stands in for it.
    graph = segmenter.graphs.get("encoder")
    sam = (type(graph), "run") if graph else (type(segmenter.image_encoder), "forward")
    told = {}
    with ExitStack() as stack:
        counted = {"encoder": sam, "CLIP": (type(model), "patch_features")}
        for what, (owner, name) in counted.items():
            told[what] = stack.enter_context(_timed(owner, name, model.device))
        way()
    calls: dict[str, float] = {f"{what} calls": len(taken) for what, taken in told.items()}
    return calls | {f"{what} (s)": float(sum(taken)) for what, taken in told.items()}


@contextmanager
def _timed(owner: type, name: str, device: torch.device) -> Iterator[list[float]]:
    """The seconds that each call of a method takes."""
    seconds: list[float] = []
    method = getattr(owner, name)

    def timed(*given: Any) -> Any:
        began = time.perf_counter()
        found = method(*given)
        settled(device)
        seconds.append(time.perf_counter() - began)
        return found

    setattr(owner, name, timed)
    try:
        yield seconds
    finally:
        setattr(owner, name, method)


def bench_together(
    mora: Mora, clip: Sequence[NDArray[np.uint8]], repeats: int
) -> list[dict[str, Any]]:
    """Eight questions about one clip whose features are kept: one after the other, and at once."""
    stamps = [t / 6 for t in range(len(clip))]
    features = [mora.encode(f) for f in clip]
    questions = [*QUESTIONS, *(q.lower() for q in QUESTIONS)]
    ways: dict[str, Callable[[], Any]] = {
        "one after the other": lambda: [
            mora.answer_features(features, stamps, q) for q in questions
        ],
        "eight at once": lambda: list(mora.answer_many(features, stamps, questions)),
    }
    rows, results = in_turns(ways, repeats)
    alone, together = results.values()
    same = sum(a.text == b.text for a, b in zip(alone, together, strict=True))
    return [row | {"same answers": same} for row in rows]


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
