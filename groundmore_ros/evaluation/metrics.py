# SPDX-License-Identifier: Apache-2.0
"""Figures of merit of masks and spans.

J and F are those of Perazzi et al., "A Benchmark Dataset and Evaluation Methodology for Video
Object Segmentation" (DAVIS, 2016). A mask is bool (H, W), or run lengths, which stay so for J; for
F one frame at a time is unpacked.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from groundmore_ros.errors import GroundmoreError
from groundmore_ros.evaluation import packed_masks
from groundmore_ros.run_lengths import RunLengths

__all__ = ["Mask", "boundary_f_measure", "region_similarity", "temporal_iou"]

Mask = NDArray[np.bool_] | RunLengths
TOLERANCE = 0.008  # of the image's diagonal, how far boundaries may lie apart


def region_similarity(truth: Mask, prediction: Mask) -> float:
    """J: intersection over union of two masks (H, W); two empty ones are alike.

    Raises:
        GroundmoreError: masks of two sizes.
    """
    _check(truth, prediction)
    if isinstance(truth, RunLengths) and isinstance(prediction, RunLengths):
        both, areas = truth.overlap(prediction), truth.area + prediction.area
    else:
        wanted, found = _pixels(truth), _pixels(prediction)
        both = int(np.count_nonzero(wanted & found))
        areas = int(np.count_nonzero(wanted)) + int(np.count_nonzero(found))
    return both / (areas - both) if areas else 1.0


def boundary_f_measure(truth: Mask, prediction: Mask) -> float:
    """F: harmonic mean of the boundaries' precision and recall, for masks (H, W).

    Boundary pixels of one mask count as found where the other has one within a disk of 0.8 % of
    the image's diagonal, rounded up.

    Raises:
        GroundmoreError: masks of two sizes.
    """
    _check(truth, prediction)
    radius = math.ceil(TOLERANCE * math.hypot(*truth.shape))
    part = packed_masks.crop(_pixels(truth), _pixels(prediction), radius)
    if part is None:
        return 0.0
    edges = packed_masks.boundary(part)  # (2, L): truth, prediction
    n_wanted, n_found = (packed_masks.count(edge) for edge in edges)
    if n_wanted == 0 or n_found == 0:
        return 1.0 if n_wanted == n_found else 0.0
    near = packed_masks.dilate(edges, part.stride, radius)
    recall = packed_masks.count(edges[0] & near[1]) / n_wanted
    precision = packed_masks.count(edges[1] & near[0]) / n_found
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def temporal_iou(first: Sequence[float], second: Sequence[float]) -> float:
    """Overlap of two closed spans (start, end), s; two equal instants overlap fully."""
    start, end = max(first[0], second[0]), min(first[1], second[1])
    union = max(first[1], second[1]) - min(first[0], second[0])
    if union <= 0:
        return 1.0
    return max(0.0, end - start) / union


def _check(truth: Mask, prediction: Mask) -> None:
    if truth.shape != prediction.shape or len(truth.shape) != 2:
        raise GroundmoreError(
            f"masks of shape {truth.shape} and {prediction.shape}; expected one (height, width)"
        )


def _pixels(mask: Mask) -> NDArray[np.bool_]:
    return mask.decode() if isinstance(mask, RunLengths) else np.asarray(mask, bool)
