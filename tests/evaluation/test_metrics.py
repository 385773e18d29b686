# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import arrays

from groundmore_ros.errors import GroundmoreError
from groundmore_ros.evaluation.metrics import boundary_f_measure, region_similarity, temporal_iou


def _square(top: int, left: int, side: int) -> np.ndarray:
    mask = np.zeros((40, 50), bool)
    mask[top : top + side, left : left + side] = True
    return mask


def test_region_similarity_of_shifted_squares() -> None:
    assert region_similarity(_square(5, 5, 10), _square(5, 10, 10)) == pytest.approx(50 / 150)


def test_empty_masks_are_alike_and_unlike_all_others() -> None:
    empty, square = np.zeros((40, 50), bool), _square(5, 5, 10)
    assert region_similarity(empty, empty) == 1.0
    assert boundary_f_measure(empty, empty) == 1.0
    assert region_similarity(square, empty) == 0.0
    assert boundary_f_measure(square, empty) == 0.0
    assert boundary_f_measure(empty, square) == 0.0


@pytest.mark.parametrize(("shift", "expected"), [(0, 1.0), (1, 1.0), (2, 0.0)])
def test_boundaries_match_within_0008_of_the_diagonal(shift: int, expected: float) -> None:
    # The diagonal of 40 x 50 is 64 pixels: one pixel apart is a match, two are not.
    left, right = np.zeros((2, 40, 50), bool)
    left[:, :20] = True
    right[:, : 20 + shift] = True
    assert boundary_f_measure(left, right) == expected


@given(arrays(bool, (9, 11)), arrays(bool, (9, 11)))
def test_metrics_are_symmetric_and_within_bounds(first: np.ndarray, second: np.ndarray) -> None:
    for metric in (region_similarity, boundary_f_measure):
        value = metric(first, second)
        assert 0.0 <= value <= 1.0
        assert metric(second, first) == pytest.approx(value)
        assert metric(first, first) == 1.0


def test_masks_of_two_sizes_are_refused() -> None:
    with pytest.raises(GroundmoreError, match="expected one"):
        region_similarity(np.zeros((2, 3), bool), np.zeros((3, 2), bool))


@pytest.mark.parametrize(
    ("first", "second", "overlap"),
    [
        ((0, 2), (1, 3), 1 / 3),
        ((0, 1), (2, 3), 0),
        ((0, 1), (0, 1), 1),
        ((1, 1), (1, 1), 1),
        ((1, 1), (0, 2), 0),
    ],
)
def test_temporal_iou(first: tuple, second: tuple, overlap: float) -> None:
    assert temporal_iou(first, second) == pytest.approx(overlap)
