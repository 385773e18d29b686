# SPDX-License-Identifier: Apache-2.0
"""How far ahead of questions frames can be encoded on this machine."""

import time

import numpy as np
import torch

from groundmore_ros.errors import ModelError
from groundmore_ros.mora.assistant import Mora

__all__ = ["choose_encode_ahead"]

MODES = ("auto", "always", "recent", "on_question")
SPARE = 0.7  # share of the time that encoding may take if every frame is to be encoded
PROBE = (480, 640, 3)
TRIES = 5
ENOUGH = 2.0  # s, of probing: a model this slow is known after one


def choose_encode_ahead(mora: Mora, wanted: str, rate: float) -> str:
    """The mode that a parameter means: ``auto`` measures.

    Args:
        mora: the model.
        wanted: the parameter.
        rate: frames a second, of all cameras.

    Raises:
        ModelError: an unknown mode.
    """
    if wanted not in MODES:
        raise ModelError(f"encode_ahead is {wanted!r}; expected one of {', '.join(MODES)}")
    if wanted != "auto":
        return wanted
    return "always" if _seconds(mora) * rate < SPARE else "recent"


def _seconds(mora: Mora) -> float:
    """What a frame takes: the median of a few, so that one hiccup does not decide."""
    frame = np.zeros(PROBE, np.uint8)
    mora.encode(frame)  # the first call prepares kernels
    seconds: list[float] = []
    while len(seconds) < TRIES and sum(seconds) < ENOUGH:
        began = time.perf_counter()
        mora.encode(frame)
        if mora.model.device.type == "cuda":
            torch.cuda.synchronize(mora.model.device)
        seconds.append(time.perf_counter() - began)
    return float(np.median(seconds))
