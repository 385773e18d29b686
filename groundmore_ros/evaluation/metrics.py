# SPDX-License-Identifier: Apache-2.0
"""Figures of merit of masks and spans.

J and F are those of Perazzi et al., "A Benchmark Dataset and Evaluation Methodology for Video
Object Segmentation" (DAVIS, 2016).
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from groundmore_ros.errors import GroundmoreError

__all__ = ["boundary_f_measure", "region_similarity", "temporal_iou"]

Mask = NDArray[np.bool_]
TOLERANCE = 0.008  # of the image's diagonal, how far boundaries may lie apart


def region_similarity(truth: Mask, prediction: Mask) -> float:
    """J: intersection over union of two masks (H, W); two empty ones are alike.

    Raises:
        GroundmoreError: masks of two sizes.
    """
    _check(truth, prediction)
    union = int(np.count_nonzero(truth | prediction))
    return np.count_nonzero(truth & prediction) / union if union else 1.0


def boundary_f_measure(truth: Mask, prediction: Mask) -> float:
    """F: harmonic mean of the boundaries' precision and recall, for masks (H, W).

    Raises:
        GroundmoreError: masks of two sizes.
    """
    _check(truth, prediction)
    wanted, found = _boundary(truth), _boundary(prediction)
    n_wanted, n_found = int(wanted.sum()), int(found.sum())
    if n_wanted == 0 or n_found == 0:
        return 1.0 if n_wanted == n_found else 0.0
    disk = _disk(math.ceil(TOLERANCE * math.hypot(*truth.shape)))
    precision = np.count_nonzero(found & binary_dilation(wanted, disk)) / n_found
    recall = np.count_nonzero(wanted & binary_dilation(found, disk)) / n_wanted
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def temporal_iou(first: Sequence[float], second: Sequence[float]) -> float:
    """Overlap of two closed spans (start, end), s; two equal instants overlap fully."""
    start, end = max(first[0], second[0]), min(first[1], second[1])
    union = max(first[1], second[1]) - min(first[0], second[0])
    if union <= 0:
        return 1.0
    return max(0.0, end - start) / union


def _check(truth: Mask, prediction: Mask) -> None:
    if truth.shape != prediction.shape or truth.ndim != 2:
        raise GroundmoreError(
            f"masks of shape {truth.shape} and {prediction.shape}; expected one (height, width)"
        )


def _boundary(mask: Mask) -> Mask:
    """Pixels that differ from their right, lower or lower right neighbour."""
    edge = np.zeros_like(mask, bool)
    edge[:, :-1] |= mask[:, :-1] ^ mask[:, 1:]
    edge[:-1] |= mask[:-1] ^ mask[1:]
    edge[:-1, :-1] |= mask[:-1, :-1] ^ mask[1:, 1:]
    return edge


def _disk(radius: int) -> Mask:
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    return np.asarray(x * x + y * y <= radius * radius)
