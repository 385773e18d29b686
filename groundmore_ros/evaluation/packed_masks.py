# SPDX-License-Identifier: Apache-2.0
"""Masks as bits of 64-bit words, 64 pixels of a row in each: morphology at a word an operation.

All rows of a mask follow each other in one long string of words, with room between them that
shifted pixels may run into: each operation is one pass over memory. Shape legend: M masks of H
rows; S words from one row to the next, the last of them room; L = H * S. Bit i of a row's word n
is column 64 n + i of the part.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["PackedMasks", "boundary", "count", "crop", "dilate"]

BITS = 64
Words = NDArray[np.uint64]


class PackedMasks(NamedTuple):
    """The same part of several masks of one size.

    Attributes:
        words: (M, L); the last row is the image's, or empty.
        stride: S.
        last_column: the image's last column as (word, bit) of the part; None where it lies outside.
    """

    words: Words
    stride: int
    last_column: tuple[int, int] | None


def crop(first: NDArray[np.bool_], second: NDArray[np.bool_], room: int) -> PackedMasks | None:
    """The part of two masks (H, W) that holds both, and the pixels left and above of it.

    Rows are ``room`` pixels apart, or more. None where the masks are farther apart than that.
    """
    height, width = first.shape
    bits = [np.packbits(mask, axis=1, bitorder="little") for mask in (first, second)]
    boxes = [_box(b) for b in bits]
    used = np.array([box for box in boxes if box])  # first and last row, first and last byte
    if not len(used):
        return PackedMasks(np.zeros((2, 0), np.uint64), 1, None)
    # Boundaries lie up to a pixel above and left of their masks.
    if len(used) == 2 and any(
        used[:, (0, 2)].max(0) - used[:, (1, 3)].min(0) - 1 > (room, room / 8)
    ):
        return None
    top, bottom = max(0, int(used[:, 0].min()) - 1), min(height, int(used[:, 1].max()) + 2)
    # The pixel left of the first byte may lie in the byte before.
    left, right = max(0, int(used[:, 2].min()) - 1), int(used[:, 3].max()) + 1
    stride = math.ceil((right - left) / 8) + math.ceil((room + 1) / BITS)
    part = np.zeros((2, bottom - top, stride * 8), np.uint8)
    for into, packed in zip(part, bits, strict=True):
        into[:, : right - left] = packed[top:bottom, left:right]
    last = divmod(width - 1 - 8 * left, BITS)
    words = part.view("<u8").reshape(2, -1)
    return PackedMasks(words, stride, last if right == bits[0].shape[1] else None)


def _box(bits: NDArray[np.uint8]) -> tuple[int, int, int, int] | None:
    """First and last row and byte that are in use."""
    rows = np.flatnonzero(bits.any(axis=1))
    if not len(rows):
        return None
    columns = np.flatnonzero(bits[rows[0] : rows[-1] + 1].any(axis=0))
    return int(rows[0]), int(rows[-1]), int(columns[0]), int(columns[-1])


def boundary(masks: PackedMasks) -> Words:
    """Pixels (M, L) that differ from their right, lower or lower right neighbour.

    Neighbours outside the image do not count.
    """
    x, stride = masks.words, masks.stride
    if not x.size:
        return x
    right = _shifted_down(x, 1)
    beside = x ^ right
    edge = beside.copy()
    edge[:, :-stride] |= x[:, :-stride] ^ x[:, stride:]
    edge[:, :-stride] |= x[:, :-stride] ^ right[:, stride:]
    if masks.last_column is not None:
        word, bit = masks.last_column
        edge[:, word::stride] &= np.uint64((1 << bit) - 1)
        # The last column has no neighbour but the one below.
        under = x[:, word::stride].copy()
        under[:, :-1] ^= under[:, 1:].copy()
        under[:, -1] = 0
        edge[:, word::stride] |= under & np.uint64(1 << bit)
    edge[:, stride - 1 :: stride] = 0  # what ran into the room
    return edge


def dilate(x: Words, stride: int, radius: int) -> Words:
    """All pixels within a disk around those of x (M, L); the room may be run into."""
    out = np.zeros_like(x)
    wide, width = x.copy(), 0
    # From the disk's top row, the narrowest, to its middle.
    for off in range(radius, -1, -1):
        wanted = math.isqrt(radius * radius - off * off)
        while width < wanted:
            # Runs of 2 width + 1 pixels leave no gap when moved by as many.
            step = min(wanted - width, 2 * width + 1, BITS - 1)
            wide |= _shifted_down(wide, step) | _shifted_up(wide, step)
            width += step
        ahead = off * stride
        if off == 0:
            out |= wide
        elif ahead < x.shape[1]:
            out[:, ahead:] |= wide[:, :-ahead]
            out[:, :-ahead] |= wide[:, ahead:]
    return out


def count(x: Words) -> int:
    """How many pixels are set."""
    return int(np.count_nonzero(np.unpackbits(np.ascontiguousarray(x).view(np.uint8))))


def _shifted_down(x: Words, by: int) -> Words:
    """Each pixel takes the value of the one ``by`` columns to its right; by is 1 to 63."""
    out = x >> np.uint64(by)
    out[:, :-1] |= x[:, 1:] << np.uint64(BITS - by)
    return out


def _shifted_up(x: Words, by: int) -> Words:
    """Each pixel takes the value of the one ``by`` columns to its left; by is 1 to 63."""
    out = x << np.uint64(by)
    out[:, 1:] |= x[:, :-1] >> np.uint64(BITS - by)
    return out
