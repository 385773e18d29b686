# SPDX-License-Identifier: Apache-2.0
"""Ramps, shelves, containers and arms do what they are there for."""

import numpy as np
import pytest

from groundmore_ros.simulation import Episode, generate
from groundmore_ros.simulation.world import ACTORS, Prop

SEEDS = range(100, 160)


@pytest.fixture(scope="module")
def episodes() -> list[Episode]:
    return [generate(s, prop_share=1.0, actor_share=0.5, questions_per_type=8) for s in SEEDS]


def _with(episodes: list[Episode], kind: str) -> list[tuple[Episode, Prop]]:
    return [(e, p) for e in episodes for p in e.scene.props if p.kind == kind]


def test_every_kind_of_prop_is_put_up(episodes: list[Episode]) -> None:
    for kind in ("ramp", "shelf", "container", "screen"):
        assert len(_with(episodes, kind)) >= 3, kind


def test_what_stands_on_a_ramp_waits_and_then_comes_down(episodes: list[Episode]) -> None:
    for episode, ramp in _with(episodes, "ramp"):
        assert ramp.body is not None
        start = next(a.time for a in episode.scene.actions if a.body == ramp.body)
        places = episode.places[:, ramp.body]
        waiting = episode.stamps < start
        assert np.ptp(places[waiting], axis=0).max() < 1e-3
        assert places[-1, 2] < places[0, 2] - 0.05


def test_what_lands_in_a_container_is_inside_at_the_end(episodes: list[Episode]) -> None:
    landed = [
        (e, p, q) for e, p in _with(episodes, "container") for q in e.questions
        if q.predicate == "lands_in" and q.target
    ]  # fmt: skip
    for episode, container, question in landed:
        assert question.target is not None
        end = episode.places[-1, question.target - 1]
        assert np.abs(end[:2] - container.centre).max() < container.reach
    assert landed


def test_arms_go_their_way_and_what_they_push_is_due_to_them(episodes: list[Episode]) -> None:
    pushed = 0
    for episode in episodes:
        for k, body in enumerate(episode.scene.bodies):
            if body.shape in ACTORS:
                reach = next(a for a in episode.scene.actions if a.body == k)
                way = np.array(reach.velocity) * reach.duration
                if reach.time + reach.duration < episode.stamps[-1]:
                    moved = episode.places[-1, k] - episode.places[0, k]
                    assert np.allclose(moved, way, atol=0.01)
                pushed += sum(cause == k != j for j, cause in enumerate(episode.motion.causes))
    assert pushed >= 5


def test_where_nothing_happens_nothing_is_the_answer() -> None:
    for seed in range(8):
        episode = generate(seed, still_share=1.0, prop_share=0.5, referring_questions=0)
        assert not episode.active.any()
        assert {q.answer for q in episode.questions} == {"nothing"}


def test_cameras_and_words_leave_the_physics_alone() -> None:
    """So they can be compared on the same episodes."""
    plain = generate(5)
    rich = generate(5, shake_share=1.0, degraded_share=1.0, rephrased_share=1.0)
    assert np.array_equal(plain.places, rich.places)
    assert not np.array_equal(plain.frames, rich.frames)
    words = generate(5, rephrased_share=1.0)
    assert np.array_equal(plain.frames, words.frames)
    assert [q.target for q in plain.questions] == [q.target for q in words.questions]
