# SPDX-License-Identifier: Apache-2.0
"""COCO's uncompressed run lengths: column-major, background first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundmore_ros.errors import GroundmoreError

__all__ = ["RunLengths", "bounding_box", "decode", "decode_coco", "encode"]


@dataclass(frozen=True, eq=False)
class RunLengths:
    """A mask that is kept as its run lengths.

    Attributes:
        counts: as of :func:`encode`; they add up to height * width.
        height, width: pixels.
    """

    counts: NDArray[np.uint32]
    height: int
    width: int

    @classmethod
    def of(cls, mask: NDArray[np.bool_]) -> "RunLengths":
        """Run lengths of a mask (H, W)."""
        return cls(encode(mask), *mask.shape)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.height, self.width

    @property
    def area(self) -> int:
        """Pixels of the mask."""
        return int(self.counts[1::2].sum(dtype=np.int64))

    def decode(self) -> NDArray[np.bool_]:
        """The mask (H, W)."""
        return decode(self.counts, self.height, self.width)

    def overlap(self, other: "RunLengths") -> int:
        """Pixels that two masks of one size share; nothing is unpacked."""
        ends, other_ends = (np.cumsum(r.counts, dtype=np.int64) for r in (self, other))
        bounds = np.union1d(ends, other_ends)
        lengths = np.diff(bounds, prepend=0)
        # Run number of the pixels that end at each bound; odd runs are of the mask.
        inside = np.searchsorted(ends, bounds) % 2 == 1
        other_inside = np.searchsorted(other_ends, bounds) % 2 == 1
        return int(lengths[inside & other_inside].sum())


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


def decode_coco(found: Mapping[str, Any]) -> NDArray[np.bool_]:
    """The mask (H, W) of COCO's ``{"size": [H, W], "counts": ...}``, compressed or not.

    Raises:
        GroundmoreError: the counts cannot be read, or do not add up.
    """
    counts = found["counts"]
    if isinstance(counts, bytes | str):
        text = counts.encode() if isinstance(counts, str) else counts
        counts = _decompress(text)
    height, width = (int(n) for n in found["size"])
    return decode(counts, height, width)


def _decompress(text: bytes) -> list[int]:
    """COCO's text form: five bits a character, lowest first; from the fourth count on differences.

    Bit 5 of a character says that more follow, bit 4 of the last one is the sign.
    """
    counts: list[int] = []
    value = shift = 0
    for character in text:
        bits = character - 48
        if not 0 <= bits < 64:
            raise GroundmoreError(f"run lengths hold {chr(character)!r}; expected 0 to o")
        value |= (bits & 0x1F) << shift
        shift += 5
        if not bits & 0x20:
            if bits & 0x10:
                value -= 1 << shift
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            value = shift = 0
    if shift:
        raise GroundmoreError("run lengths break off")
    return counts


def bounding_box(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Left, top, width and height of the smallest box around a mask (H, W); zeros if empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return 0, 0, 0, 0
    left, top = int(columns[0]), int(rows[0])
    return left, top, int(columns[-1]) - left + 1, int(rows[-1]) - top + 1
