# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from groundmore_ros.errors import GroundmoreError
from groundmore_ros.evaluation.metrics import boundary_f_measure, region_similarity, temporal_iou
from groundmore_ros.evaluation.reference import plain_boundary_f_measure, plain_region_similarity
from groundmore_ros.run_lengths import RunLengths

METRICS = (region_similarity, boundary_f_measure)


def _square(top: int, left: int, side: int) -> np.ndarray:
    mask = np.zeros((40, 50), bool)
    mask[top : top + side, left : left + side] = True
    return mask


def test_region_similarity_of_shifted_squares() -> None:
    assert region_similarity(_square(5, 5, 10), _square(5, 10, 10)) == pytest.approx(50 / 150)


def test_empty_masks_are_alike_and_unlike_all_others() -> None:
    empty, square = np.zeros((40, 50), bool), _square(5, 5, 10)
    for metric in METRICS:
        assert metric(empty, empty) == 1.0
        assert metric(square, empty) == metric(empty, square) == 0.0


@pytest.mark.parametrize(("shift", "expected"), [(0, 1.0), (1, 1.0), (2, 0.0)])
def test_boundaries_match_within_0008_of_the_diagonal(shift: int, expected: float) -> None:
    # The diagonal of 40 x 50 is 64 pixels: one pixel apart is a match, two are not.
    left, right = np.zeros((2, 40, 50), bool)
    left[:, :20] = True
    right[:, : 20 + shift] = True
    assert boundary_f_measure(left, right) == expected


def test_half_of_a_boundary_is_found() -> None:
    """By hand: of a bar's boundary (left, right and end), the other bar has only the left half."""
    long, short = np.zeros((2, 9, 40), bool)
    long[:, 10:30] = True
    short[:, 10:20] = True
    # Boundary columns: 9 and 29, against 9 and 19; the tolerance is one pixel.
    assert boundary_f_measure(long, short) == pytest.approx(0.5)


@given(arrays(bool, (9, 11)), arrays(bool, (9, 11)))
def test_metrics_are_symmetric_and_within_bounds(first: np.ndarray, second: np.ndarray) -> None:
    for metric in METRICS:
        value = metric(first, second)
        assert 0.0 <= value <= 1.0
        assert metric(second, first) == pytest.approx(value)
        assert metric(first, first) == 1.0


@settings(max_examples=300)
@given(st.data())
def test_the_plain_form_gives_the_same(data: st.DataObject) -> None:
    """For any size, for masks and for run lengths."""
    shape = data.draw(array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=140))
    seed = data.draw(st.integers(0, 2**32 - 1))
    density, other = data.draw(st.tuples(*[st.sampled_from([0.0, 0.002, 0.1, 0.5, 0.97])] * 2))
    rng = np.random.default_rng(seed)
    first, second = rng.random(shape) < density, rng.random(shape) < other
    if data.draw(st.booleans()):  # blobs that are near each other
        first = np.repeat(np.repeat(first[::8, ::8], 8, 0), 8, 1)[: shape[0], : shape[1]]
        second = np.roll(first, data.draw(st.tuples(*[st.integers(-4, 4)] * 2)), (0, 1))
    packed = RunLengths.of(first), RunLengths.of(second)
    for fast, plain in (
        (region_similarity, plain_region_similarity),
        (boundary_f_measure, plain_boundary_f_measure),
    ):
        wanted = plain(first, second)
        assert fast(first, second) == pytest.approx(wanted, abs=1e-9)
        assert fast(*packed) == pytest.approx(wanted, abs=1e-9)


def test_the_plain_form_gives_the_same_for_a_very_large_frame() -> None:
    """The radius is more than a word of pixels."""
    first, second = np.zeros((2, 60, 9000), bool)
    first[10:50, 100:8990] = True
    second[12:48, 30:8970] = True
    wanted = plain_boundary_f_measure(first, second)
    assert boundary_f_measure(first, second) == pytest.approx(wanted, abs=1e-9)


def test_masks_of_two_sizes_are_refused() -> None:
    for metric in METRICS:
        with pytest.raises(GroundmoreError, match="expected one"):
            metric(np.zeros((2, 3), bool), np.zeros((3, 2), bool))


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
