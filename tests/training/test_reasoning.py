# SPDX-License-Identifier: Apache-2.0
from typing import Any

import numpy as np
import pytest
import torch
from conftest import tiny_mora

from groundmore_ros.simulation.facts import FACTS
from groundmore_ros.training.cache import CachedEpisode
from groundmore_ros.training.packing import collate_reasoning
from groundmore_ros.training.reading import Reading, draw_reading
from groundmore_ros.training.reasoning import Reasoner

TEMPLATES = ("plain", "The {name} [SEG] [LOC].", "Nothing.")


def episode(questions: int = 3) -> CachedEpisode:
    """Two objects in three tracks' room over five frames."""
    rng = np.random.default_rng(0)
    asked: list[dict[str, Any]] = [
        {
            "text": f"Which object is number {k}?",
            "type": "Descriptive",
            "answer": "the red ball" if k else "nothing",
            "target": 1 if k else None,
            "span": [0.2, 0.6] if k else None,
            "predicate": "first",
            "named": [],
            "name": "",
        }
        for k in range(questions)
    ]
    looks = [{"colour": "red", "shape": "ball"}, {"colour": "blue", "shape": "cube"}]
    return CachedEpisode(
        queries=rng.normal(size=(3, 5, 16)).astype(np.float16),
        boxes=rng.random((3, 5, 4)).astype(np.float16),
        scores=np.ones((3, 5), np.float16),
        present=np.array([[1] * 5, [1] * 5, [0] * 5], bool),
        valid=np.array([True, True, False]),
        pictures=rng.integers(0, 255, (5, 24, 32, 3), np.uint8),
        track_of=np.array([-1, 1, 0], np.int8),
        object_of=np.array([2, 1, 0], np.int8),
        active=np.zeros((5, 8), bool),
        places=np.zeros((5, 8, 3), np.float32),
        causes=np.array([0, 0, -1, -1, -1, -1, -1, -1], np.int8),
        facts=np.zeros((8, len(FACTS)), np.float32),
        stamps=np.arange(5) / 5,
        note={"seed": 0, "objects": looks, "questions": asked},
    )


@pytest.fixture(scope="module")
def reasoner() -> Reasoner:
    mora = tiny_mora()
    return Reasoner(mora.model.requires_grad_(True), mora.tokenizer)


def _batch(reasoner: Reasoner, questions: int, seed: int = 0) -> Any:
    mora = tiny_mora()
    return collate_reasoning(
        [episode(questions)],
        mora.tokenizer,
        TEMPLATES,
        np.random.default_rng(seed),
        most=questions,
    )


def _reading(count: int = 4) -> Reading:
    return draw_reading(np.random.default_rng(0), count, tiny_mora().tokenizer, "plain")


def test_packed_questions_do_not_see_each_other(reasoner: Reasoner) -> None:
    """A question's states are the same alone and among others."""
    reasoner.eval()
    packed, alone = _batch(reasoner, 3), _batch(reasoner, 1)
    text = alone.ids[0].tolist()
    row = packed.ids[0].tolist()
    starts = [i for i in range(len(row)) if row[i : i + len(text)] == text]
    with torch.no_grad():
        among, _, _ = reasoner.run(packed)
        single, _, _ = reasoner.run(alone)
    assert len(starts) == 1
    there = among[0, starts[0] : starts[0] + len(text)]
    assert torch.allclose(there, single[0], atol=1e-5)


def test_training_and_answering_see_the_same(reasoner: Reasoner) -> None:
    """The packed sequence gives the states that generation will compute from the same features."""
    reasoner.eval()
    batch = _batch(reasoner, 1)
    model = reasoner.model
    with torch.no_grad():
        hidden, _, _ = reasoner.run(batch)
        moments, prefix, reasoning = reasoner._prefix(batch)
        known = reasoning.tokens[0, batch.valid[0]].flatten(0, 1)[None]
        tracks = batch.valid.shape[1] * model.config.summary_tokens
        words = model.get_input_embeddings()(batch.ids)
        embeds = torch.cat([prefix[:, :-tracks], known, words], dim=1)
        plain = model(inputs_embeds=embeds).hidden_states[0]
    assert torch.allclose(plain[:, -words.shape[1] :], hidden, atol=1e-5)


def test_padding_is_not_read(reasoner: Reasoner) -> None:
    reasoner.eval()
    together = _reading()
    shortest = int(together.lengths.argmin())
    length = int(together.lengths[shortest])
    assert length < together.ids.shape[1]
    alone = Reading(*(part[shortest : shortest + 1] for part in together))
    alone = alone._replace(ids=alone.ids[:, :length])
    with torch.no_grad():
        ends = [reading.ends(reasoner._read(reading)) for reading in (together, alone)]
    assert torch.allclose(ends[0][shortest], ends[1][0], atol=1e-5)


def test_losses_fall(reasoner: Reasoner) -> None:
    reasoner.train()
    optimizer = torch.optim.AdamW(reasoner.parameters(), lr=1e-2)
    history = []
    for _ in range(60):
        losses = reasoner(_batch(reasoner, 3), _reading()).losses
        optimizer.zero_grad()
        torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        history.append({name: float(loss.detach()) for name, loss in losses.items()})
    first, last = history[0], history[-1]
    assert first.keys() == {
        "text", "first", "object", "time", "overlap", "place", "cause", "moving", "colour",
        "shape", "facts", "asked", "reading",
    }  # fmt: skip
    for name in ("text", "object", "time", "cause", "colour", "asked", "reading"):
        assert last[name] < 0.7 * first[name], name
