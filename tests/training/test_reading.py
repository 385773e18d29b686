# SPDX-License-Identifier: Apache-2.0
import numpy as np
import torch
from conftest import tiny_mora

from groundmore_ros.simulation.rewording import plain
from groundmore_ros.simulation.wording import TEMPLATES
from groundmore_ros.training.packing import PREDICATES
from groundmore_ros.training.reading import draw_question, draw_reading

USES = ("known", "validation")


def test_every_kind_of_question_is_asked_about_as_often() -> None:
    rng = np.random.default_rng(0)
    drawn = [draw_question(rng)[1] for _ in range(40 * len(PREDICATES))]
    counts = [drawn.count(predicate) for predicate in TEMPLATES]
    assert min(counts) > 20
    assert max(counts) < 65


def test_words_of_validation_are_not_those_of_training() -> None:
    rng = np.random.default_rng(0)
    texts = {use: {plain(draw_question(rng, use)[0]) for _ in range(400)} for use in USES}
    assert len(texts["validation"]) > 300
    assert not texts["validation"] & texts["known"]


def test_questions_are_padded_behind_their_ends() -> None:
    mora = tiny_mora()
    reading = draw_reading(np.random.default_rng(0), 6, mora.tokenizer, "plain")
    there = reading.there()
    assert reading.ids.shape == there.shape == (6, int(reading.lengths.max()))
    assert (reading.ids[:, 0] == mora.tokenizer.bos).all()
    assert (there.sum(1) == reading.lengths).all()
    assert (reading.ids[~there] == 0).all()
    ends = reading.ends(reading.ids[..., None])[:, 0]
    last = [row[there[i]][-1] for i, row in enumerate(reading.ids)]
    assert torch.equal(ends, torch.stack(last))


def test_the_same_draws_give_the_same_questions() -> None:
    mora = tiny_mora()
    first, second = (
        draw_reading(np.random.default_rng(3), 4, mora.tokenizer, "plain") for _ in range(2)
    )
    assert torch.equal(first.ids, second.ids)
    assert torch.equal(first.chances, second.chances)
