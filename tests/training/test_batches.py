# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import torch
from conftest import tiny_mora
from test_reasoning import episode

from groundmore_ros.simulation.shards import shard_path, write_shards
from groundmore_ros.training.batches import STEPS_A_POOL, FrameBatches, QuestionBatches, Stream
from groundmore_ros.training.packing import PREDICATES
from groundmore_ros.training.wordings import Wordings

SMALL = {"frames": 8, "width": 64, "height": 48}


def _frames(folder: Path, collages: float = 0.0) -> FrameBatches:
    return FrameBatches([shard_path(folder, 50)], 4, 2, 64, collages)


def test_frames_of_a_step_are_drawn_anew_in_each_pool(tmp_path: Path) -> None:
    write_shards(tmp_path, range(50, 52), SMALL, 1)
    first = _frames(tmp_path).at(0)
    assert first.pixels.shape == (8, 3, 64, 64)
    assert torch.equal(first.pixels, _frames(tmp_path).at(0).pixels)
    later = _frames(tmp_path).at(STEPS_A_POOL)
    assert not torch.equal(later.pixels, first.pixels)


def test_a_run_that_is_resumed_gets_the_frames_it_would_have_got(tmp_path: Path) -> None:
    write_shards(tmp_path, range(50, 52), SMALL, 1)
    whole = _frames(tmp_path)
    steps = [whole.at(step).pixels for step in range(STEPS_A_POOL - 2, STEPS_A_POOL + 2)]
    resumed = _frames(tmp_path)
    for step, pixels in enumerate(steps[1:], start=STEPS_A_POOL - 1):
        assert torch.equal(resumed.at(step).pixels, pixels)


def test_one_episode_of_a_batch_is_never_a_collage(tmp_path: Path) -> None:
    write_shards(tmp_path, range(50, 52), SMALL, 1)
    plain, collages = (_frames(tmp_path, share).at(0).pixels for share in (0.0, 1.0))
    same = [torch.equal(a, b) for a, b in zip(plain, collages, strict=True)]
    assert same == [False] * 6 + [True] * 2


def test_questions_are_those_of_the_step_and_the_round() -> None:
    mora = tiny_mora()
    episodes = [episode(3), episode(2)]
    batches = QuestionBatches(episodes, None, None, mora.tokenizer, mora.model.config)
    asked, read = batches.at(5, stream=Stream.REASONING, batch=2, questions=2, read=3)
    assert asked.ids.shape[0] == 2
    assert read.ids.shape[0] == 3
    again = batches.at(5, stream=Stream.REASONING, batch=2, questions=2, read=3)
    other = batches.at(5, stream=Stream.REFINING, batch=2, questions=2, read=3)
    assert torch.equal(read.ids, again[1].ids)
    assert torch.equal(asked.ids, again[0].ids)
    assert read.ids.tolist() != other[1].ids.tolist()


def test_a_share_of_the_questions_has_vetted_wordings() -> None:
    mora = tiny_mora()
    wordings = Wordings({predicate: ["Vetted."] for predicate in PREDICATES})
    batches = QuestionBatches([episode(3)], None, wordings, mora.tokenizer, mora.model.config)
    said = []
    for share in (0.0, 1.0):
        batch = batches.at(0, Stream.FINISHING, batch=4, questions=2, read=1, vetted=share)[0]
        said.append(mora.tokenizer.decode(batch.ids.flatten().tolist()))
    assert [text.count("vetted") >= 4 for text in said] == [False, True]
