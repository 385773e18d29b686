# SPDX-License-Identifier: Apache-2.0
"""Masks as bits of 64-bit words, 64 pixels of a row in each: morphology at a word an operation.

Shape legend: H rows, W columns, N = ceil(W / 64) words of a row; M masks. Bit i of word n is
column 64 n + i.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["PackedMasks", "boundary", "count", "crop", "dilate"]

BITS = 64
Words = NDArray[np.uint64]
ONE, LAST = np.uint64(1), np.uint64(BITS - 1)


class PackedMasks(NamedTuple):
    """The same part of several masks of one size.

    Attributes:
        words: (M, H, N).
        last_row: whether the part's last row is the image's.
        last_column: the image's last column as (word, bit) of the part; None where it lies outside.
    """

    words: Words
    last_row: bool
    last_column: tuple[int, int] | None


def crop(*masks: NDArray[np.bool_]) -> PackedMasks:
    """The part of masks (H, W) that holds them all, and the pixels left and above of it."""
    packed = np.stack([_pack(mask) for mask in masks])
    any_mask = np.bitwise_or.reduce(packed, axis=0)
    rows = np.flatnonzero(any_mask.any(axis=1))
    used = np.flatnonzero(np.bitwise_or.reduce(any_mask, axis=0))
    if not len(rows):
        return PackedMasks(packed[:, :0], False, None)
    (height, width), columns = masks[0].shape, packed.shape[2]
    top, bottom = max(0, int(rows[0]) - 1), min(height, int(rows[-1]) + 2)
    # The pixel left of the first word may lie in the word before.
    left, right = max(0, int(used[0]) - 1), min(columns, int(used[-1]) + 1)
    word, bit = divmod(width - 1, BITS)
    last = (word - left, bit) if word < right else None
    words = np.ascontiguousarray(packed[:, top:bottom, left:right])
    return PackedMasks(words, bottom == height, last)


def _pack(mask: NDArray[np.bool_]) -> Words:
    bits = np.packbits(mask, axis=1, bitorder="little")
    padded = np.zeros((mask.shape[0], math.ceil(mask.shape[1] / BITS) * BITS // 8), np.uint8)
    padded[:, : bits.shape[1]] = bits
    return padded.view("<u8")


def boundary(masks: PackedMasks) -> Words:
    """Pixels (M, H, N) that differ from their right, lower or lower right neighbour.

    Neighbours outside the image do not count.
    """
    x = masks.words
    if not x.size:
        return x
    right = _shifted_left(x)
    beside = x ^ right
    edge = beside.copy()
    edge[:, :-1] |= x[:, :-1] ^ x[:, 1:]
    edge[:, :-1] |= x[:, :-1] ^ right[:, 1:]
    if not masks.last_row:
        edge[:, -1] |= x[:, -1]  # what is below the part is empty
    if masks.last_column is not None:
        word, bit = masks.last_column
        edge[..., word] &= np.uint64((1 << bit) - 1)
        # The last column has no neighbour but the one below.
        under = x[..., word].copy()
        under[:, :-1] ^= x[:, 1:, word]
        if masks.last_row:
            under[:, -1] = 0
        edge[..., word] |= under & np.uint64(1 << bit)
    return edge


def dilate(x: Words, radius: int) -> Words:
    """All pixels within a disk around those of x (M, H, N)."""
    out = np.zeros_like(x)
    wide, width = x.copy(), 0
    # From the disk's top row, the narrowest, to its middle.
    for off in range(min(radius, x.shape[1]), -1, -1):
        while width < math.isqrt(radius * radius - off * off):
            wide |= _shifted_left(wide) | _shifted_right(wide)
            width += 1
        if off:
            out[:, off:] |= wide[:, :-off]
            out[:, :-off] |= wide[:, off:]
    out |= wide
    return out


def count(x: Words) -> int:
    """How many pixels are set."""
    return int(np.count_nonzero(np.unpackbits(np.ascontiguousarray(x).view(np.uint8))))


def _shifted_left(x: Words) -> Words:
    """Each pixel takes the value of its right neighbour."""
    out = x >> ONE
    out[..., :-1] |= x[..., 1:] << LAST
    return out


def _shifted_right(x: Words) -> Words:
    """Each pixel takes the value of its left neighbour."""
    out = x << ONE
    out[..., 1:] |= x[..., :-1] >> LAST
    return out
