# SPDX-License-Identifier: Apache-2.0
"""What is measured decides, with a model and a clock that do as they are told."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from groundmore_ros.errors import ModelError
from groundmore_ros.ros import throughput
from groundmore_ros.ros.throughput import choose_encode_ahead


class Encoder:
    """Takes so many seconds a frame, by a clock of its own."""

    model = SimpleNamespace(device=torch.device("cpu"))

    def __init__(self, *seconds: float) -> None:
        self.left, self.now, self.calls = list(seconds), 0.0, 0

    def encode(self, frame: np.ndarray) -> None:
        self.calls += 1
        self.now += self.left.pop(0) if len(self.left) > 1 else self.left[0]


def choose(monkeypatch: pytest.MonkeyPatch, encoder: Any, rate: float) -> str:
    monkeypatch.setattr(throughput, "time", SimpleNamespace(perf_counter=lambda: encoder.now))
    return choose_encode_ahead(encoder, "auto", rate)


@pytest.mark.parametrize(
    ("seconds", "mode", "calls"),
    [
        ([9.0, 0.13], "always", 6),  # the first call prepares kernels; 0.65 of the time at 5 Hz
        ([9.0, 0.15], "recent", 6),
        ([9.0, 1.0, 0.1, 0.1, 0.1, 0.1], "always", 6),  # a hiccup
        ([9.0, 5.0], "recent", 2),  # no minute is spent on what one frame tells
    ],
)
def test_auto_is_what_the_machine_can_do(
    monkeypatch: pytest.MonkeyPatch, seconds: list[float], mode: str, calls: int
) -> None:
    encoder = Encoder(*seconds)
    assert choose(monkeypatch, encoder, 5.0) == mode
    assert encoder.calls == calls


def test_what_is_named_is_not_measured() -> None:
    encoder: Any = Encoder(1.0)
    assert choose_encode_ahead(encoder, "on_question", 5.0) == "on_question"
    assert encoder.calls == 0
    with pytest.raises(ModelError, match="encode_ahead is 'never'; expected one of auto, always"):
        choose_encode_ahead(encoder, "never", 5.0)
