# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import numpy as np
import pytest

from groundmore_ros.errors import SourceError
from groundmore_ros.simulation import generate
from groundmore_ros.simulation.facts import facts
from groundmore_ros.simulation.shards import open_shard, shard_path, write_shards
from groundmore_ros.training.data import ALIKE, frame_samples

SMALL = {"frames": 8, "width": 64, "height": 48}


def test_samples_tell_where_and_how_objects_stand(tmp_path: Path) -> None:
    write_shards(tmp_path, range(50, 52), SMALL, 1)
    episodes = [generate(seed, **SMALL) for seed in (50, 51)]
    samples = frame_samples([shard_path(tmp_path, 50)], np.random.default_rng(0), 3)
    for _ in range(4):
        sample = next(samples)
        at = [
            (episode, t)
            for frame in sample.frames
            for episode in episodes
            for t in range(8)
            if np.array_equal(episode.frames[t], frame)
        ]  # the frames tell which they are
        assert len(at) == 3
        for i, (episode, t) in enumerate(at):
            assert np.allclose(sample.places[i], episode.places[t])
            alike = np.isin(sample.looks[:, 1], ALIKE)
            assert (sample.upright[i][alike] == 1).all()
            upright = abs(episode.upright[t])
            assert np.allclose(sample.upright[i][~alike], upright[~alike], atol=1e-6)


def test_shards_hold_the_facts_of_every_body(tmp_path: Path) -> None:
    write_shards(tmp_path, range(50, 52), SMALL, 1)
    shard, episode = open_shard(shard_path(tmp_path, 50)), generate(51, **SMALL)
    bodies = episode.scene.bodies
    told = shard["facts"][1]
    assert np.array_equal(
        told[: len(bodies)], facts(episode.motion, bodies, episode.settings.duration)
    )
    assert not told[len(bodies) :].any()


def test_shards_of_before_say_so(tmp_path: Path) -> None:
    path = shard_path(tmp_path, 50)
    with path.open("wb") as file:
        np.savez(file, frames=np.zeros(1), masks=np.zeros(1))
    with pytest.raises(SourceError, match="has no active, .*upright.*; delete it"):
        open_shard(path)
