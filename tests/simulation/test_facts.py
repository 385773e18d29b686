# SPDX-License-Identifier: Apache-2.0
import numpy as np

from groundmore_ros.simulation import generate
from groundmore_ros.simulation.facts import FACTS, MOST, facts


def test_facts_are_what_the_motion_was() -> None:
    episode = generate(0)
    motion, duration = episode.motion, episode.settings.duration
    found = facts(motion, episode.scene.bodies, duration)
    assert found.shape == (len(episode.scene.bodies), len(FACTS))
    assert abs(found).max() <= MOST
    column = {name: found[:, i] * unit for i, (name, unit) in enumerate(FACTS.items())}
    assert np.allclose(column["speed"], np.minimum(motion.peak_speed, MOST * FACTS["speed"]))
    assert np.allclose(column["right"], np.clip(motion.shift[:, 0], -0.6, 0.6))
    for k, segments in enumerate(motion.segments):
        first = segments[0].start if segments else duration
        assert np.isclose(column["start"][k] * duration, first)
        assert column["stop"][k] >= column["start"][k]
    assert any(motion.segments)
    assert not all(motion.segments)


def test_what_falls_over_lies_afterwards() -> None:
    """How upright a body is, frame by frame, agrees with its largest tilt."""
    fallen = 0
    for seed in range(12):
        episode = generate(seed, frames=16)
        least = np.arccos(episode.upright).max(axis=0)
        assert (least <= episode.motion.tilt + 1e-6).all()
        for k, body in enumerate(episode.scene.bodies):
            if body.shape == "pillar" and episode.motion.tilt[k] > 1.2:
                fallen += abs(episode.upright[-1, k]) < 0.5
    assert fallen >= 2
