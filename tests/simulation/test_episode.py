# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from groundmore_ros.errors import GroundmoreError
from groundmore_ros.simulation import MOTION_TYPES, generate

SEEDS = range(20, 32)


def test_the_same_seed_gives_the_same_episode() -> None:
    first, second = generate(7), generate(7)
    assert first.frames.tobytes() == second.frames.tobytes()
    assert first.object_masks.tobytes() == second.object_masks.tobytes()
    assert first.questions == second.questions
    assert generate(8).frames.tobytes() != first.frames.tobytes()


def test_shapes_follow_the_settings() -> None:
    episode = generate(3, frames=8, rate=10.0, width=96, height=64, max_objects=4)
    assert episode.frames.shape == (8, 64, 96, 3)
    assert episode.frames.dtype == episode.object_masks.dtype == np.uint8
    assert episode.object_masks.shape == (8, 64, 96)
    assert np.allclose(episode.stamps, np.arange(8) / 10)
    assert 3 <= len(episode.scene.bodies) <= 4
    assert episode.active.shape == (8, len(episode.scene.bodies))


@pytest.mark.parametrize("seed", SEEDS)
def test_questions_fit_the_episode(seed: int) -> None:
    episode = generate(seed)
    bodies = episode.scene.bodies
    for question in episode.questions:
        assert question.type in (*MOTION_TYPES, "Referring")
        assert "{" not in question.text
        if question.target is None:
            assert (question.answer, question.span) == ("nothing", None)
            continue
        body = bodies[question.target - 1]
        assert question.answer == f"the {body.colour} {body.shape}"
        assert question.span is not None
        start, end = question.span
        assert start in episode.stamps
        assert end in episode.stamps
        during = (episode.stamps >= start) & (episode.stamps <= end)
        assert during.sum() >= 3
        seen = (episode.object_masks[during] == question.target).any(axis=(1, 2))
        assert seen.mean() >= 0.6


@pytest.mark.parametrize("seed", SEEDS)
def test_what_moves_in_the_picture_is_what_moved_in_the_world(seed: int) -> None:
    """A still camera sees the masks of still objects stay, unless something hides them."""
    episode = generate(seed, moving_camera_share=0.0)
    for k, moved in enumerate(episode.motion.moved):
        mask = episode.object_masks == k + 1
        if moved.value == "no" and mask[0].sum() > 60 and mask[-1].sum() > 0.9 * mask[0].sum():
            both = (mask[0] & mask[-1]).sum()
            assert both > 0.8 * mask[-1].sum()


def test_causes_touch_what_they_move_and_removal_stops_it() -> None:
    """ "What would not have moved without X" is true of the simulation without X."""
    from groundmore_ros.simulation import physics
    from groundmore_ros.simulation.motion import Clarity, mobility

    checked = 0
    for seed in range(40, 70):
        episode = generate(seed)
        model = physics.build_model(episode.scene)
        for question in episode.questions:
            if question.predicate == "without" and question.target is not None:
                without = physics.simulate(
                    model, episode.scene, episode.settings.duration, without=question.named[0] - 1
                )
                then = mobility(without, episode.scene)
                assert then[question.target - 1] is Clarity.NO
                checked += 1
            if question.predicate == "cause" and question.target is not None:
                assert episode.motion.causes[question.named[0] - 1] == question.target - 1
                checked += 1
    assert checked > 10


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"frames": 3}, "frames is 3; expected 8 to 24"),
        ({"rate": 50.0}, "rate is 50.0"),
        ({"width": 1}, "width is 1"),
        ({"min_objects": 9, "max_objects": 9}, "max_objects is 9"),
        ({"table_share": 1.5}, "table_share is 1.5"),
    ],
)
def test_settings_out_of_range(settings: dict, complaint: str) -> None:
    with pytest.raises(GroundmoreError, match=complaint):
        generate(0, **settings)
