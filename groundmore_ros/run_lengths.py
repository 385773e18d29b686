# SPDX-License-Identifier: Apache-2.0
"""COCO's uncompressed run lengths: column-major, background first."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from groundmore_ros.errors import GroundmoreError

__all__ = ["bounding_box", "decode", "encode"]


def encode(mask: NDArray[np.bool_]) -> NDArray[np.uint32]:
    """Run lengths of a mask (H, W); they add up to H * W."""
    flat = np.asarray(mask, bool).reshape(-1, order="F")
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    bounds = np.concatenate([[0], edges, [flat.size]])
    runs = np.diff(bounds)
    if flat.size and flat[0]:
        runs = np.concatenate([[0], runs])
    return runs.astype(np.uint32)


def decode(counts: Sequence[int] | NDArray, height: int, width: int) -> NDArray[np.bool_]:
    """The mask (H, W) of run lengths.

    Raises:
        GroundmoreError: they do not add up to H * W.
    """
    runs = np.asarray(counts, np.int64)
    if runs.sum() != height * width or (runs < 0).any():
        raise GroundmoreError(
            f"run lengths add up to {runs.sum()}; expected {height} * {width} = {height * width}"
        )
    values = np.arange(len(runs)) % 2 == 1
    return np.repeat(values, runs).reshape((height, width), order="F")


def bounding_box(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Left, top, width and height of the smallest box around a mask (H, W); zeros if empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return 0, 0, 0, 0
    left, top = int(columns[0]), int(rows[0])
    return left, top, int(columns[-1]) - left + 1, int(rows[-1]) - top + 1
