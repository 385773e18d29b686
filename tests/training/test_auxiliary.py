# SPDX-License-Identifier: Apache-2.0
import numpy as np
import torch
from conftest import tiny_mora
from test_reasoning import TEMPLATES, episode

from groundmore_ros.mora import Mora
from groundmore_ros.simulation.facts import FACTS
from groundmore_ros.training.auxiliary import Meanings
from groundmore_ros.training.packing import PREDICATES, ReasoningBatch, collate_reasoning
from groundmore_ros.training.reading import Lessons, draw_reading
from groundmore_ros.training.reasoning import Reasoner


def _learned(steps: int = 150) -> tuple[Reasoner, ReasoningBatch, dict[str, float]]:
    """A model that has learned one episode of three questions by heart, and its last losses."""
    mora = tiny_mora()
    some = episode(3)
    asked = ("first", "effect", "effect")
    for question, predicate in zip(some.note["questions"], asked, strict=True):
        question |= {"predicate": predicate, "named": [2] if predicate == "effect" else []}
    some.facts[0], some.facts[1] = 0.5, np.linspace(-1, 1, len(FACTS))
    module = Reasoner(mora.model.requires_grad_(True), mora.tokenizer).train()
    optimizer = torch.optim.AdamW(module.parameters(), lr=5e-3)
    batch = collate_reasoning([some], mora.tokenizer, TEMPLATES, np.random.default_rng(0), most=3)
    reading = draw_reading(np.random.default_rng(0), 2, mora.tokenizer, "plain")
    for _ in range(steps):
        losses = module(batch, reading).losses
        optimizer.zero_grad()
        torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return module.eval(), batch, {name: float(loss.detach()) for name, loss in losses.items()}


def test_facts_and_senses_are_learned_on_the_side() -> None:
    module, batch, losses = _learned()
    assert losses["facts"] < 0.1
    assert losses["asked"] < 0.1
    assert losses["named"] < 0.1
    with torch.no_grad():
        hidden, _, reasoning = module.run(batch)
        assert module.asking.understood(batch, hidden).all()
        told = module.objects.facts(reasoning.tokens.flatten(2))[0]
        # Tracks 0 and 1 are of objects 2 and 1; where there is no object nothing is learned.
        assert torch.allclose(told[1], torch.full((len(FACTS),), 0.5), atol=0.15)
        assert torch.allclose(told[0], torch.linspace(-1, 1, len(FACTS)), atol=0.15)
        states = hidden[batch.asked.episode, batch.asked.first]
        effects = batch.asked.predicate == PREDICATES.index("effect")
        pointed = module.asking.named(states) @ reasoning.keys[0].T
        assert pointed[effects][:, batch.valid[0]].argmax(1).eq(0).all()


def test_words_of_like_sense_come_to_lie_together() -> None:
    mora = Mora.from_pretrained("mora-nano", device="cpu")
    words = ["ball", "rolls", "moves", "pushed", "unheardofword"]
    meanings = torch.randn(5, 24, generator=torch.Generator().manual_seed(0)).half()
    meanings[2] = meanings[1]
    lessons = Lessons([], torch.zeros(0, len(PREDICATES)), words, meanings)
    module = Meanings(mora.model, mora.tokenizer, lessons)
    assert len(module.ids) >= 4
    pair = [mora.tokenizer.encode_text(f" {word}")[0] for word in words[1:3]]
    embeddings = mora.model.get_input_embeddings().weight.detach().clone().requires_grad_(True)
    before = float(torch.cosine_similarity(*embeddings.detach()[pair][:, None]))
    optimizer = torch.optim.Adam([embeddings, *module.parameters()], lr=0.03)
    for _ in range(200):
        loss = module(embeddings)["meaning"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.03
    assert float(torch.cosine_similarity(*embeddings.detach()[pair][:, None])) > max(0.5, before)
