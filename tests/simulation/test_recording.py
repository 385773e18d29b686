# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import numpy as np
import pytest

from groundmore_ros.bags.truth import read_truth
from groundmore_ros.errors import GroundmoreError
from groundmore_ros.simulation import generate
from groundmore_ros.simulation.recording import episode_path, write_bag, write_bags
from groundmore_ros.simulation.shards import open_shard, shard_path, write_shards


def test_a_bag_holds_frames_questions_and_truth(tmp_path: Path) -> None:
    episode = generate(21)
    path = episode_path(tmp_path, 21)
    write_bag(path, episode)
    truth = read_truth(path)
    assert len(truth.pictures) == 16
    stamps = sorted(truth.pictures)
    assert np.allclose(np.diff(stamps), 2e8)
    difference = np.stack([truth.pictures[s] for s in stamps]).astype(int) - episode.frames
    assert np.abs(difference).mean() < 6  # JPEG
    for t, stamp in enumerate(stamps):
        for k in range(len(episode.scene.bodies)):
            assert np.array_equal(truth.masks[stamp, k].decode(), episode.object_masks[t] == k + 1)
    assert [a.question for a in truth.answers] == [q.text for q in episode.questions]
    for answer, question in zip(truth.answers, episode.questions, strict=True):
        assert answer.type == question.type
        assert answer.end == stamps[-1]
        if question.target is None:
            assert answer.object is None
        else:
            assert answer.object == question.target - 1
            assert answer.span == tuple(
                stamps[int(np.argmin(np.abs(episode.stamps - s)))] for s in question.span or ()
            )
    with pytest.raises(GroundmoreError, match="exists already"):
        write_bag(path, episode)


def test_several_processes_write_what_one_writes(tmp_path: Path) -> None:
    done: list[int] = []
    write_bags(tmp_path, range(30, 33), {"frames": 8}, 2, done.append)
    assert sum(done) == 3
    write_bags(tmp_path, range(30, 33), {"frames": 8}, 2, done.append)
    assert done[-1] == 3  # nothing was done again
    alone = tmp_path / "alone"
    write_bag(alone, generate(31, frames=8))
    truth, again = read_truth(episode_path(tmp_path, 31)), read_truth(alone)
    assert all(np.array_equal(truth.pictures[s], again.pictures[s]) for s in again.pictures)


def test_arrays_for_training(tmp_path: Path) -> None:
    write_shards(tmp_path, range(50, 53), {"frames": 8, "width": 64, "height": 48}, 1)
    shard = open_shard(shard_path(tmp_path, 50))
    episode = generate(52, frames=8, width=64, height=48)
    notes = shard["notes"]
    assert [n["seed"] for n in notes] == [50, 51, 52]
    assert np.array_equal(shard["frames"][2], episode.frames)
    assert np.array_equal(shard["masks"][2], episode.object_masks)
    count = len(episode.scene.bodies)
    assert np.array_equal(shard["active"][2, :, :count], episode.active)
    assert not shard["active"][2, :, count:].any()
    assert [q["text"] for q in notes[2]["questions"]] == [q.text for q in episode.questions]
