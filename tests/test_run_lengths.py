# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from groundmore_ros import run_lengths
from groundmore_ros.errors import GroundmoreError


def test_counts_are_column_major_and_begin_with_background() -> None:
    mask = np.array([[0, 1, 0], [1, 1, 0]], bool)
    assert run_lengths.encode(mask).tolist() == [1, 3, 2]
    assert run_lengths.encode(~mask).tolist() == [0, 1, 3, 2]
    assert run_lengths.encode(np.zeros((2, 3), bool)).tolist() == [6]
    assert run_lengths.encode(np.ones((2, 3), bool)).tolist() == [0, 6]


@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=12)))
def test_decoding_gives_the_mask_back(mask: np.ndarray) -> None:
    counts = run_lengths.encode(mask)
    assert counts.sum() == mask.size
    assert np.array_equal(run_lengths.decode(counts, *mask.shape), mask)


@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=12)))
def test_bounding_box_holds_the_mask_and_nothing_more(mask: np.ndarray) -> None:
    left, top, width, height = run_lengths.bounding_box(mask)
    inside = mask[top : top + height, left : left + width]
    assert inside.sum() == mask.sum()
    if mask.any():
        assert inside[0].any()
        assert inside[-1].any()
        assert inside[:, 0].any()
        assert inside[:, -1].any()


@given(st.lists(st.integers(0, 30), max_size=6))
def test_counts_that_do_not_add_up_are_refused(counts: list[int]) -> None:
    if sum(counts) != 12:
        with pytest.raises(GroundmoreError, match="expected 3 \\* 4 = 12"):
            run_lengths.decode(counts, 3, 4)


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("61X13mN000`0", [6, 1, 40, 4, 5, 4, 5, 4, 21]),  # as pycocotools writes it
        ("<", [12]),
    ],
)
def test_coco_text_is_read(text: str, counts: list[int]) -> None:
    height, width = 10, sum(counts) // 10
    if sum(counts) % 10:
        height, width = 3, sum(counts) // 3
    for form in (text, text.encode(), counts):
        mask = run_lengths.decode_coco({"size": [height, width], "counts": form})
        assert mask.shape == (height, width)
        assert run_lengths.encode(mask).tolist() == counts


@pytest.mark.parametrize("text", ["\x1f", "61X", "l", "<<"])
def test_broken_coco_text_is_refused(text: str) -> None:
    with pytest.raises(GroundmoreError):
        run_lengths.decode_coco({"size": [3, 4], "counts": text})


@given(arrays(bool, (7, 9)), arrays(bool, (7, 9)))
def test_overlap_and_area_without_unpacking(first: np.ndarray, second: np.ndarray) -> None:
    a, b = run_lengths.RunLengths.of(first), run_lengths.RunLengths.of(second)
    assert a.area == first.sum()
    assert a.overlap(b) == (first & second).sum()
    assert np.array_equal(a.decode(), first)
