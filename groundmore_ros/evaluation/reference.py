# SPDX-License-Identifier: Apache-2.0
"""J and F written plainly, whole frames at a time: what :mod:`metrics` is measured against."""

import math

import numpy as np
from numpy.typing import NDArray

from groundmore_ros.errors import MissingDependencyError
from groundmore_ros.evaluation.metrics import TOLERANCE

__all__ = ["plain_boundary_f_measure", "plain_region_similarity"]

Mask = NDArray[np.bool_]


def plain_region_similarity(truth: Mask, prediction: Mask) -> float:
    """J of two masks (H, W)."""
    union = np.sum(truth | prediction)
    return float(np.sum(truth & prediction) / union) if union else 1.0


def plain_boundary_f_measure(truth: Mask, prediction: Mask) -> float:
    """F of two masks (H, W): both boundaries dilated over the whole frame.

    Raises:
        MissingDependencyError: OpenCV is not installed.
    """
    try:
        import cv2
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            "OpenCV is missing: pip install opencv-python-headless"
        ) from error
    wanted, found = _boundary(truth), _boundary(prediction)
    n_wanted, n_found = np.sum(wanted), np.sum(found)
    radius = math.ceil(TOLERANCE * math.hypot(*truth.shape))
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    disk = (x * x + y * y <= radius * radius).astype(np.uint8)
    near_wanted, near_found = (cv2.dilate(b.astype(np.uint8), disk) for b in (wanted, found))
    if n_wanted == 0 or n_found == 0:
        return float(n_wanted == n_found)
    precision = np.sum(found * near_wanted) / n_found
    recall = np.sum(wanted * near_found) / n_wanted
    both = precision + recall
    return float(2 * precision * recall / both) if both else 0.0


def _boundary(mask: Mask) -> Mask:
    """Pixels that differ from their right, lower or lower right neighbour."""
    right, below, across = (np.zeros_like(mask) for _ in range(3))
    right[:, :-1], below[:-1], across[:-1, :-1] = mask[:, 1:], mask[1:], mask[1:, 1:]
    edge = (mask ^ right) | (mask ^ below) | (mask ^ across)
    edge[-1] = mask[-1] ^ right[-1]
    edge[:, -1] = mask[:, -1] ^ below[:, -1]
    edge[-1, -1] = False
    return np.asarray(edge)
