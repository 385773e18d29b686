# SPDX-License-Identifier: Apache-2.0
"""Simulated shards as training samples."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from groundmore_ros.errors import SourceError
from groundmore_ros.simulation.shards import read_notes
from groundmore_ros.simulation.world import ACTORS, COLOURS, SHAPES

__all__ = ["COLOUR_NAMES", "SHAPE_NAMES", "UNNAMED", "FrameSample", "frame_samples", "shard_files"]

COLOUR_NAMES, SHAPE_NAMES = list(COLOURS), [*SHAPES, *ACTORS]
UNNAMED = -1


class FrameSample(NamedTuple):
    """A few frames of one episode.

    Attributes:
        frames: (F, H, W, 3) uint8.
        masks: (F, H, W) uint8, object k is k.
        looks: (K, 2) int64, colour and shape of each object, UNNAMED where it has none; for
            auxiliary losses.
    """

    frames: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    looks: Tensor


def shard_files(folder: Path) -> list[Path]:
    """The shards of a folder.

    Raises:
        SourceError: there are none.
    """
    files = sorted(folder.glob("episodes-*.npz"))
    if not files:
        raise SourceError(f"{folder} holds no episodes-*.npz; make them with groundmore simulate")
    return files


def frame_samples(
    files: Sequence[Path], rng: np.random.Generator, frames: int, pool: int = 20
) -> Iterator[FrameSample]:
    """Endless random samples of a few frames of an episode; ``pool`` shards are held at a time."""
    while True:
        order = rng.permutation(len(files))
        for start in range(0, len(order), pool):
            chosen = [np.load(files[i]) for i in order[start : start + pool]]
            arrays = [(s["frames"], s["masks"], read_notes(s)) for s in chosen]
            episodes = [(a, e) for a in range(len(arrays)) for e in range(len(arrays[a][0]))]
            for i in rng.permutation(len(episodes)):
                a, e = episodes[i]
                pictures, masks, notes = arrays[a]
                first = int(rng.integers(0, pictures.shape[1] - 1))
                gap = int(rng.integers(1, max(2, math.ceil((pictures.shape[1] - first) / frames))))
                at = np.minimum(first + gap * np.arange(frames), pictures.shape[1] - 1)
                looks = [
                    (COLOUR_NAMES.index(o["colour"]), SHAPE_NAMES.index(o["shape"]))
                    for o in notes[e]["objects"]
                ]
                yield FrameSample(pictures[e, at], masks[e, at], torch.tensor(looks))
