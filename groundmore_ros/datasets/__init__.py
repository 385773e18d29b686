# SPDX-License-Identifier: Apache-2.0
"""Readers of published data sets, bags and simulated episodes, behind one interface."""

from groundmore_ros.datasets.base import Dataset, Question, Video
from groundmore_ros.datasets.opening import open_dataset

__all__ = ["Dataset", "Question", "Video", "open_dataset"]
