# SPDX-License-Identifier: Apache-2.0
import numpy as np
import torch
from conftest import tiny_mora
from test_reasoning import TEMPLATES, episode

from groundmore_ros.simulation.facts import FACTS
from groundmore_ros.training.packing import PREDICATES, ReasoningBatch, collate_reasoning
from groundmore_ros.training.reading import draw_reading
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
