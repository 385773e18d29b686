# SPDX-License-Identifier: Apache-2.0
"""The default settings are the exam: its shares, and how far rules get that do not understand."""

import os
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest

from groundmore_ros.datasets.simulated import SimulatedVideo
from groundmore_ros.simulation import EXAM_VERSION, MOTION_TYPES, EpisodeSettings, generate

EPISODES = range(1_005_000, 1_005_500)


def _facts(seed: int) -> tuple[list, bool, bool, int]:
    episode = generate(seed)
    video = SimulatedVideo(episode)
    questions = []
    for question in video.questions:
        rivals = video.rivals(question)
        right = {rule: float((k,) == question.objects) for rule, k in rivals.items()}
        right["random"] = 1 / len(episode.scene.bodies)
        questions.append((question.type, question.has_target, right))
    colours = [b.colour for b in episode.scene.bodies]
    shared = len(set(colours)) < len(colours)
    return questions, shared, episode.scene.camera.moving, len(colours)


@pytest.fixture(scope="module")
def facts() -> list[tuple[list, bool, bool, int]]:
    with ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as pool:
        return list(pool.map(_facts, EPISODES, chunksize=25))


def test_the_exam_is_the_first_version() -> None:
    settings = EpisodeSettings()
    assert EXAM_VERSION == 1
    assert (settings.frames, settings.width, settings.height) == (16, 160, 120)
    assert (settings.min_objects, settings.max_objects) == (3, 6)


def test_shares_of_types_and_of_questions_without_an_answer(facts: list) -> None:
    motion = [q for questions, *_ in facts for q in questions if q[0] in MOTION_TYPES]
    counts = Counter(q[0] for q in motion)
    for kind in MOTION_TYPES:
        assert counts[kind] / len(motion) >= 0.15
    assert 0.05 <= np.mean([not q[1] for q in motion]) <= 0.15
    assert len(motion) >= 2 * len(facts)


def test_shares_of_colours_cameras_and_counts(facts: list) -> None:
    assert np.mean([shared for _, shared, _, _ in facts]) >= 0.25
    assert np.mean([moving for _, _, moving, _ in facts]) >= 0.30
    assert {count for *_, count in facts} == {3, 4, 5, 6}


@pytest.mark.parametrize("rule", ["random", "largest motion", "fastest not named"])
def test_no_trivial_rule_gets_far(facts: list, rule: str) -> None:
    answerable = [q for questions, *_ in facts for q in questions if q[0] in MOTION_TYPES and q[1]]
    assert np.mean([q[2][rule] for q in answerable]) <= 0.40
