# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import numpy as np

from groundmore_ros.simulation import generate
from groundmore_ros.simulation.shards import shard_path, write_shards
from groundmore_ros.training.data import BALL, frame_samples


def test_samples_tell_where_and_how_objects_stand(tmp_path: Path) -> None:
    write_shards(tmp_path, range(50, 52), {"frames": 8, "width": 64, "height": 48}, 1)
    episodes = [generate(seed, frames=8, width=64, height=48) for seed in (50, 51)]
    samples = frame_samples([shard_path(tmp_path, 50)], np.random.default_rng(0), 3)
    for _ in range(4):
        sample = next(samples)
        # The frames tell which episode it is, and which of its frames.
        at = [
            (e, t)
            for frame in sample.frames
            for e in episodes
            for t in range(8)
            if np.array_equal(e.frames[t], frame)
        ]
        assert len(sample.frames) == 3
        for i, (episode, t) in enumerate(at[:3]):
            assert np.allclose(sample.places[i], episode.places[t])
            round_ = (sample.looks[:, 1] == BALL).numpy()
            assert (sample.upright[i][round_] == 1).all()
            upright = abs(episode.upright[t])
            assert np.allclose(sample.upright[i][~round_], upright[~round_], atol=1e-6)
