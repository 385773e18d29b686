# SPDX-License-Identifier: Apache-2.0
"""Procedural surfaces: noise, wood, tiles, stripes and speckles between two colours."""

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from groundmore_ros.simulation.world import RGB

__all__ = ["TEXTURES", "paint"]

Array = NDArray[np.float64]
SIDE = 128  # pixels


def paint(name: str, seed: int, first: RGB, second: RGB) -> NDArray[np.uint8]:
    """A texture (SIDE, SIDE, 3) uint8 RGB, by name (one of TEXTURES)."""
    share = TEXTURES[name](np.random.Generator(np.random.PCG64(seed)))[..., None]
    picture = np.array(first) * (1 - share) + np.array(second) * share
    return np.asarray(np.clip(np.rint(255 * picture), 0, 255), np.uint8)


def _fractal(rng: Generator, octaves: range, fall: float = 0.6) -> Array:
    """Noise in 0..1, finer grids weighing less."""
    total = np.zeros((SIDE, SIDE))
    weight = 1.0
    for octave in octaves:
        grid = rng.random((2**octave, 2**octave)).astype(np.float32)
        total += weight * cv2.resize(grid, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
        weight *= fall
    low, high = total.min(), total.max()
    return np.asarray((total - low) / max(high - low, 1e-9))


def _noise(rng: Generator) -> Array:
    return _fractal(rng, range(2, 7))


def _wood(rng: Generator) -> Array:
    warp = _fractal(rng, range(1, 4))
    rows = np.arange(SIDE)[:, None] / SIDE
    return np.asarray(0.5 + 0.5 * np.sin(2 * np.pi * (rng.uniform(4, 9) * rows + 2 * warp)))


def _tiles(rng: Generator) -> Array:
    count = int(rng.integers(3, 8))
    shades = cv2.resize(
        rng.random((count, count)).astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_NEAREST
    )
    at = (np.arange(SIDE) * count / SIDE) % 1 < 0.08
    return np.asarray(np.where(at[:, None] | at, 1.0, 0.5 * shades))


def _stripes(rng: Generator) -> Array:
    angle = rng.uniform(0, np.pi)
    rows, columns = np.mgrid[:SIDE, :SIDE] / SIDE
    phase = np.cos(angle) * rows + np.sin(angle) * columns
    return np.asarray(((phase * rng.integers(4, 12)) % 1 < 0.5) * 0.8 + 0.1)


def _speckle(rng: Generator) -> Array:
    return np.asarray(
        np.clip(rng.random((SIDE, SIDE)) ** 3 + 0.3 * _fractal(rng, range(2, 4)), 0, 1)
    )


TEXTURES = {
    "noise": _noise,
    "wood": _wood,
    "tiles": _tiles,
    "stripes": _stripes,
    "speckle": _speckle,
}
