# SPDX-License-Identifier: Apache-2.0
"""Simulated physics episodes with motion questions and exact answers."""

from groundmore_ros.simulation.episode import Episode, generate
from groundmore_ros.simulation.questions import MOTION_TYPES, Question
from groundmore_ros.simulation.settings import (
    EXAM_VERSION,
    TEST_SEEDS,
    TRAIN_SEEDS,
    VALIDATION_SEEDS,
    EpisodeSettings,
)

__all__ = [
    "EXAM_VERSION",
    "MOTION_TYPES",
    "TEST_SEEDS",
    "TRAIN_SEEDS",
    "VALIDATION_SEEDS",
    "Episode",
    "EpisodeSettings",
    "Question",
    "generate",
]
