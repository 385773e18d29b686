# SPDX-License-Identifier: Apache-2.0
"""Second stage: who did what, and when, learned on what the frozen perception saw.

All questions about an episode stand behind one visual prefix in one sequence; a block mask keeps
them from seeing each other. Shape legend: B episodes, T frames, K tracks, L tokens, E width, Q
questions.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from groundmore_ros.mora.modeling import MoraForCausalLM
from groundmore_ros.mora.objects import Reasoning, track_features
from groundmore_ros.mora.processing import CLIP_MEAN, CLIP_STD
from groundmore_ros.mora.tokenization import MoraTokenizer
from groundmore_ros.training.auxiliary import Asking, Meanings, Objects
from groundmore_ros.training.packing import IGNORED, Asked, ReasoningBatch
from groundmore_ros.training.reading import Lessons, Reading
from groundmore_ros.training.trainer import StepResult

__all__ = ["Reasoner"]


class Reasoner(nn.Module):
    """The model's reasoning parts with their losses, and heads that learn on the side."""

    def __init__(
        self, model: MoraForCausalLM, tokenizer: MoraTokenizer, lessons: Lessons | None = None
    ) -> None:
        super().__init__()
        self.model = model
        self.bos = tokenizer.bos
        self.objects, self.asking = Objects(model, tokenizer), Asking(model)
        self.meanings = Meanings(model, tokenizer, lessons) if lessons else None

    def run(self, batch: ReasoningBatch) -> tuple[Tensor, Tensor, Reasoning]:
        """States (B, L, E) of the questions' tokens, temporal tokens (B, T, E), reasoning."""
        moments, prefix, reasoning = self._prefix(batch)
        words = self.model.get_input_embeddings()(batch.ids)
        x = torch.cat([prefix, words], dim=1)
        config = self.model.config
        summaries = config.summary_tokens if config.object_tokens else 0
        mask, positions = _block_mask(batch, prefix.shape[1], summaries)
        hidden = self.model.language_model(
            inputs_embeds=x, attention_mask=mask, position_ids=positions, use_cache=False
        ).last_hidden_state
        return hidden[:, prefix.shape[1] :], moments, reasoning

    def _prefix(self, batch: ReasoningBatch) -> tuple[Tensor, Tensor, Reasoning]:
        model = self.model
        patches = _patches(model, batch.pictures)  # (B, T, N, V)
        moments, tokens = model.pooled_tokens(patches)
        reasoning = model.object_reasoner(
            batch.queries,
            track_features(batch.boxes, batch.scores, batch.present),
            batch.valid,
            patches.mean(2),
        )
        bos = model.get_input_embeddings()(torch.full((len(tokens), 1), self.bos))
        objects = [reasoning.tokens.flatten(1, 2)] if model.config.object_tokens else []
        return moments, torch.cat([bos, tokens, *objects], dim=1), reasoning

    def forward(self, batch: ReasoningBatch, reading: Reading) -> StepResult:
        """The losses of a batch and of what is read, and how often the objects were right."""
        hidden, moments, reasoning = self.run(batch)
        asked, words = batch.asked, self.model.language_model.embed_tokens.weight
        losses = {
            "reading": self.asking.recognition(reading.chances, reading.ends(self._read(reading))),
            **self._words(batch, hidden),
            **self.objects(batch, reasoning, words),
            **self.asking(batch, hidden, reasoning),
            **(self.meanings(words) if self.meanings else {}),
        }
        found = asked.track >= 0
        at = asked.episode[found]
        valid, keys = batch.valid[at], reasoning.keys[at].float()
        seg = self.model.seg_embedding(hidden[at, self.seg_positions(asked)[found]]).float()
        pointed = self.model.point(seg, keys, valid)
        if not found.any():  # nothing was tracked: only words can be learned
            return StepResult(losses, {})
        losses["object"] = functional.cross_entropy(pointed, asked.track[found])
        if self.model.config.temporal_head:
            frames = moments[at] + reasoning.moments[at, asked.track[found]]
            inside = self.model.temporal_head(hidden[at, asked.loc[found]], frames).float()
            truth = asked.inside[found]
            losses["time"] = functional.binary_cross_entropy_with_logits(inside, truth)
            losses["overlap"] = _soft_overlap(inside, truth) * 0.3
        right = pointed.argmax(1) == asked.track[found]
        return StepResult(losses, {"right": right.float().mean()})

    def _read(self, reading: Reading) -> Tensor:
        """States (Q, L, E) of questions that stand alone."""
        states: Tensor = self.model.language_model(
            inputs_embeds=self.model.get_input_embeddings()(reading.ids),
            attention_mask=reading.there().long(),
            use_cache=False,
        ).last_hidden_state
        return states

    def _words(self, batch: ReasoningBatch, hidden: Tensor) -> dict[str, Tensor]:
        """The answers' words, and the first alone: it tells whether there is anything to be found.

        Few tokens are answers' ones; the others' logits are not computed.
        """
        asked = batch.asked
        truth = batch.labels[:, 1:]
        answer = truth != IGNORED
        logits = self.model.lm_head(hidden[:, :-1][answer]).float()
        first = self.model.lm_head(asked.ends(hidden)).float()
        first_truth = batch.labels[asked.episode, asked.first + 1]
        return {
            "text": functional.cross_entropy(logits, truth[answer]),
            "first": 0.5 * functional.cross_entropy(first, first_truth),
        }

    def seg_positions(self, asked: Asked) -> Tensor:
        """Where the states are that [SEG] is read from, as the configuration says (Q,).

        With ``token`` the state has read the true name of the object, so figures of training are
        better than those of answering will be.
        """
        return asked.first if self.model.config.seg_state == "answer" else asked.seg


def _patches(model: MoraForCausalLM, pictures: Tensor) -> Tensor:
    """CLIP features (B, T, N, V) of small pictures (B, T, h, w, 3) uint8, padded below."""
    batch, frames, height, width, _ = pictures.shape
    side = model.config.vision_config.image_size
    pixels = pictures.flatten(0, 1).permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(v)[:, None, None] for v in (CLIP_MEAN, CLIP_STD))
    pixels = functional.pad((pixels - mean) / std, (0, side - width, 0, side - height))
    features = model.patch_features(pixels)
    return features.view(batch, frames, *features.shape[1:])


def _block_mask(batch: ReasoningBatch, prefix: int, summaries: int) -> tuple[Tensor, Tensor]:
    """Who may look at whom (B, 1, P + L, P + L), and positions (B, P + L).

    A question's tokens see the prefix and their own past. Tokens of tracks that are not there are
    seen by nobody and take no position, as if they were left out.
    """
    tracks = batch.valid.repeat_interleave(summaries, dim=1)
    ones = torch.ones(len(tracks), prefix - tracks.shape[1], dtype=torch.bool)
    there = torch.cat([ones, tracks], dim=1)  # (B, P)
    before = there.cumsum(1) - 1
    positions = torch.cat([before.clamp(min=0), there.sum(1, keepdim=True) + batch.steps], dim=1)
    blocks = torch.cat([torch.full(there.shape, -2), batch.blocks], dim=1)
    seen = torch.cat([there, batch.blocks >= 0], dim=1)
    length = blocks.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool).tril()
    same = (blocks[:, :, None] == blocks[:, None]) | (blocks[:, None] == -2)
    mask = same & seen[:, None] & causal
    mask |= torch.eye(length, dtype=torch.bool)  # padding looks at itself, not at nothing
    return mask[:, None], positions


def _soft_overlap(logits: Tensor, inside: Tensor) -> Tensor:
    chance = logits.sigmoid()
    both = (chance * inside).sum(1)
    return (1 - both / (chance + inside - chance * inside).sum(1).clamp(min=1e-6)).mean()
