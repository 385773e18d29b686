# SPDX-License-Identifier: Apache-2.0
"""Simulated shards as training samples."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from groundmore_ros.errors import SourceError
from groundmore_ros.mora.processing import SAM_MEAN, SAM_STD
from groundmore_ros.simulation.shards import open_shard
from groundmore_ros.simulation.world import ACTORS, COLOURS, SHAPES

__all__ = [
    "ALIKE",
    "COLOUR_NAMES",
    "PLACE_UNIT",
    "SHAPE_NAMES",
    "UNNAMED",
    "FrameSample",
    "frame_samples",
    "normalised",
    "shard_files",
]

COLOUR_NAMES, SHAPE_NAMES = list(COLOURS), [*SHAPES, *ACTORS]
UNNAMED = -1
MEAN, STD = np.array(SAM_MEAN, np.float32), np.array(SAM_STD, np.float32)
PLACE_UNIT = 0.2  # m, in which places are learned
ALIKE = [SHAPE_NAMES.index(s) for s in ("ball", "cube")]  # look the same on any side
_READ = ("frames", "masks", "places", "upright")


class FrameSample(NamedTuple):
    """A few frames of one episode.

    Attributes:
        frames: (F, H, W, 3) uint8.
        masks: (F, H, W) uint8, object k is k.
        looks: (K, 2) int64, colour and shape of each object, UNNAMED where it has none. These and
            the next are for auxiliary losses.
        places: (F, K, 3) float32, centres, m, world frame.
        upright: (F, K) float32, how upright each object stands, from 0 to 1.
    """

    frames: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    looks: Tensor
    places: NDArray[np.float32]
    upright: NDArray[np.float32]


def shard_files(folder: Path) -> list[Path]:
    """The shards of a folder.

    Raises:
        SourceError: there are none.
    """
    files = sorted(folder.glob("episodes-*.npz"))
    if not files:
        raise SourceError(f"{folder} holds no episodes-*.npz; make them with groundmore simulate")
    return files


def normalised(pictures: NDArray[Any], side: int) -> NDArray[np.float32]:
    """Pictures (..., H, W, 3) of 0 to 255 in the upper left of squares (..., side, side, 3).

    As the processor has them: the rest is zero after normalising.
    """
    height, width = pictures.shape[-3:-1]
    pixels = (pictures.astype(np.float32) - MEAN) / STD
    outside = [(0, 0)] * (pictures.ndim - 3)
    return np.pad(pixels, [*outside, (0, side - height), (0, side - width), (0, 0)])


def frame_samples(
    files: Sequence[Path], rng: np.random.Generator, frames: int
) -> Iterator[FrameSample]:
    """Endless random samples of a few frames of an episode; all files are held in memory."""
    shards = [open_shard(file) for file in files]
    episodes = [(s, e) for s in shards for e in range(len(s["notes"]))]
    while True:
        for i in rng.permutation(len(episodes)):
            shard, e = episodes[i]
            yield _sample(shard, e, frames, rng)


def _sample(shard: dict[str, Any], e: int, frames: int, rng: np.random.Generator) -> FrameSample:
    length = shard["frames"].shape[1]
    first = int(rng.integers(0, length - 1))
    gap = int(rng.integers(1, max(2, math.ceil((length - first) / frames))))
    at = np.minimum(first + gap * np.arange(frames), length - 1)
    looks = [
        (COLOUR_NAMES.index(o["colour"]), SHAPE_NAMES.index(o["shape"]))
        for o in shard["notes"][e]["objects"]
    ]
    pictures, masks, places, upright = (shard[k][e, at] for k in _READ)
    # What is upside down looks like what stands.
    upright = abs(upright[:, : len(looks)])
    upright[:, np.isin([shape for _, shape in looks], ALIKE)] = 1
    return FrameSample(pictures, masks, torch.tensor(looks), places[:, : len(looks)], upright)
