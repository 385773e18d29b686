# SPDX-License-Identifier: Apache-2.0
"""What is learned on the side: what simulation knows of objects, and what was asked.

The heads are not part of the model. Without them few questions an episode would have to teach both
what happened and what words mean. Shape legend: B episodes, T frames, K tracks, L tokens, E width,
Q questions.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from groundmore_ros.mora.modeling import MoraForCausalLM
from groundmore_ros.mora.objects import Reasoning
from groundmore_ros.mora.tokenization import MoraTokenizer
from groundmore_ros.simulation.facts import FACTS
from groundmore_ros.training.data import COLOUR_NAMES, PLACE_UNIT, SHAPE_NAMES
from groundmore_ros.training.packing import PREDICATES, ReasoningBatch
from groundmore_ros.training.reading import Lessons

__all__ = ["Asking", "Meanings", "Objects"]


class Objects(nn.Module):
    """What is true of every object, read off its tokens."""

    CAUSE_WIDTH = 64

    def __init__(self, model: MoraForCausalLM, tokenizer: MoraTokenizer) -> None:
        super().__init__()
        width = model.config.text_config.hidden_size
        pooled = width * model.config.summary_tokens
        self.moving, self.place = nn.Linear(width, 1), nn.Linear(width, 3)
        self.effect, self.cause = (nn.Linear(pooled, self.CAUSE_WIDTH) for _ in range(2))
        self.look, self.facts = nn.Linear(pooled, width), nn.Linear(pooled, len(FACTS))
        self.looks = [
            torch.tensor([tokenizer.encode_text(f" {word}")[0] for word in words])
            for words in (COLOUR_NAMES, SHAPE_NAMES)
        ]

    def forward(
        self, batch: ReasoningBatch, reasoning: Reasoning, words: Tensor
    ) -> dict[str, Tensor]:
        """The losses; ``words`` are the language model's embeddings (V, E)."""
        known, there = batch.known, batch.known[..., None] & batch.present
        if not there.any():
            return {}
        moving = self.moving(reasoning.moments)[..., 0].float()[there]
        place = self.place(reasoning.moments).float()[there]
        flat = reasoning.tokens.flatten(2)
        facts = self.facts(flat[known]).float()
        return {
            "moving": functional.binary_cross_entropy_with_logits(moving, batch.moving[there]),
            "place": functional.smooth_l1_loss(place, batch.places[there] / PLACE_UNIT, beta=0.1),
            "facts": functional.smooth_l1_loss(facts, batch.facts[known], beta=0.1),
            **self._causes(batch, flat),
            **self._looks(batch, flat, words.float()),
        }

    def _causes(self, batch: ReasoningBatch, tokens: Tensor) -> dict[str, Tensor]:
        wanted = torch.where(batch.known, batch.causes, -1).flatten()
        if (wanted < 0).all():
            return {}
        pairs = self.effect(tokens) @ self.cause(tokens).transpose(1, 2) / self.CAUSE_WIDTH**0.5
        pairs = pairs.float().masked_fill(~batch.valid[:, None], -1e4)
        loss = functional.cross_entropy(pairs.flatten(0, 1), wanted, ignore_index=-1)
        return {"cause": 0.5 * loss}

    def _looks(self, batch: ReasoningBatch, tokens: Tensor, words: Tensor) -> dict[str, Tensor]:
        """Object tokens are drawn to the embeddings of the words that describe the objects.

        Without this, the language model is slow to find out which words mean which looks.
        """
        seen = self.look(tokens)[batch.known].float()
        truth = batch.looks[batch.known]
        return {
            name: 0.2 * functional.cross_entropy(seen @ words[ids].T, truth[:, i])
            for i, (name, ids) in enumerate(zip(("colour", "shape"), self.looks, strict=True))
        }


class Asking(nn.Module):
    """What was asked and about which object, read off the state at a question's end.

    Whatever happened in the clip, all wordings of a question mean the same.
    """

    def __init__(self, model: MoraForCausalLM) -> None:
        super().__init__()
        width = model.config.text_config.hidden_size
        keys = model.config.sam_config.prompt_encoder_config.hidden_size
        self.predicate, self.named = nn.Linear(width, len(PREDICATES)), nn.Linear(width, keys)
        self.point = model.point

    def forward(
        self, batch: ReasoningBatch, hidden: Tensor, reasoning: Reasoning
    ) -> dict[str, Tensor]:
        """The losses, given the states (B, L, E) of the questions' tokens."""
        asked, states = batch.asked, batch.asked.ends(hidden)
        losses = {"asked": self.recognition(asked.predicate, states)}
        found = asked.named >= 0
        if found.any():
            at = asked.episode[found]
            keys = reasoning.keys[at].float()
            named = self.point(self.named(states[found]).float(), keys, batch.valid[at])
            losses["named"] = 0.3 * functional.cross_entropy(named, asked.named[found])
        return losses

    def recognition(self, predicate: Tensor, states: Tensor) -> Tensor:
        """The loss of telling the predicates from the states (Q, E) at questions' ends.

        Args:
            predicate: (Q,) which it is, or (Q, P) chances of each.
            states: at the questions' ends.
        """
        return 0.3 * functional.cross_entropy(self.predicate(states).float(), predicate)

    def understood(self, batch: ReasoningBatch, hidden: Tensor) -> Tensor:
        """Whether the predicate of each question is recognised (Q,)."""
        return self.predicate(batch.asked.ends(hidden)).argmax(1) == batch.asked.predicate


class Meanings(nn.Module):
    """Words' embeddings are drawn to what a teacher finds that they mean.

    So what is learned of one word holds for those of like sense.
    """

    def __init__(self, model: MoraForCausalLM, tokenizer: MoraTokenizer, lessons: Lessons) -> None:
        super().__init__()
        pairs = [
            (ids[0], i)
            for i, word in enumerate(lessons.words)
            for text in (f" {word}", word.capitalize())
            if len(ids := tokenizer.encode_text(text)) == 1
        ]
        self.ids = torch.tensor([token for token, _ in pairs], dtype=torch.long)
        meanings = lessons.meanings.float()
        meanings = meanings - meanings.mean(0)
        self.wanted = meanings[torch.tensor([i for _, i in pairs], dtype=torch.long)]
        self.meant = nn.Linear(model.config.text_config.hidden_size, meanings.shape[1])

    def forward(self, words: Tensor) -> dict[str, Tensor]:
        """The loss, given the language model's embeddings (V, E)."""
        told = self.meant(words[self.ids]).float()
        return {"meaning": 0.5 * (1 - functional.cosine_similarity(told, self.wanted)).mean()}
