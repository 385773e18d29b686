# SPDX-License-Identifier: Apache-2.0
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from groundmore_ros.bags.buffers import Buffers


def _place(array: np.ndarray) -> int:
    return int(array.__array_interface__["data"][0])


def test_memory_that_nobody_holds_is_lent_again() -> None:
    buffers = Buffers(most=4, most_bytes=400)
    array = buffers.array(6, 8, 3)
    assert array.shape == (6, 8, 3)
    assert array.flags.c_contiguous
    place = _place(array)
    del array
    assert _place(buffers.array(8, 6, 3)) == place


def test_memory_that_anything_is_held_of_is_not() -> None:
    for hold in (
        lambda a: a,
        lambda a: a[2:, ::2],
        lambda a: a.reshape(-1)[5:6].view(np.int8),
        lambda a: torch.from_numpy(a)[1],
        lambda a: memoryview(a)[0:1],
    ):
        buffers = Buffers(most=4, most_bytes=400)
        array = buffers.array(4, 4, 3)
        array[:] = 7
        held = hold(array)  # type: ignore[no-untyped-call]
        del array
        other = buffers.array(4, 4, 3)
        other[:] = 9
        assert (np.asarray(held) == 7).all()


@pytest.mark.parametrize(("most", "most_bytes", "kept"), [(2, 99, [16, 20]), (9, 50, [12, 16, 20])])
def test_no_more_is_kept_than_was_said(most: int, most_bytes: int, kept: list[int]) -> None:
    buffers = Buffers(most, most_bytes)
    held = [buffers.array(2, 2, k % 5 + 1) for k in range(20)]
    assert [b.size for b in buffers._buffers] == kept
    assert len({_place(a) for a in held}) == 20


def test_a_picture_that_is_too_large_to_keep_is_lent_and_not_kept() -> None:
    buffers = Buffers(most=8, most_bytes=50)
    assert buffers.array(4, 5, 3).shape == (4, 5, 3)
    assert buffers._buffers == []


def test_threads_never_share_memory() -> None:
    buffers = Buffers(most=8, most_bytes=10**6)

    def fill(number: int) -> bool:
        array = buffers.array(64, 64, 3)
        array[:] = number
        return bool((array == number).all())

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(fill, [k % 251 for k in range(2000)]))
