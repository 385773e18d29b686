# SPDX-License-Identifier: Apache-2.0
"""Second stage: who did what, and when, learned on what the frozen perception saw.

All questions about an episode stand behind one visual prefix in one sequence; a block mask keeps
them from seeing each other. Shape legend: B episodes, T frames, K tracks, L tokens, E width, Q
questions.
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from groundmore_ros.mora.conversation import build_prompt
from groundmore_ros.mora.modeling import MoraForCausalLM
from groundmore_ros.mora.objects import Reasoning, track_features
from groundmore_ros.mora.processing import CLIP_MEAN, CLIP_STD
from groundmore_ros.mora.tokenization import IMAGE_ID, MoraTokenizer
from groundmore_ros.simulation.facts import FACTS
from groundmore_ros.training.cache import CachedEpisode
from groundmore_ros.training.data import COLOUR_NAMES, SHAPE_NAMES
from groundmore_ros.training.trainer import StepResult

__all__ = ["Asked", "Reasoner", "ReasoningBatch", "collate_reasoning"]

IGNORED = -100


class Asked(NamedTuple):
    """Where questions stand in the packed sequences, and their answers. Q questions in all.

    Attributes:
        episode: (Q,) which episode of the batch.
        first: (Q,) position that predicts the answer's first token.
        seg: (Q,) position that predicts [SEG], or -1.
        loc: (Q,) position that predicts [LOC], or -1.
        track: (Q,) the track that is meant, or -1.
        inside: (Q, T) whether each frame is inside the event.
        types: the questions' types.
    """

    episode: Tensor
    first: Tensor
    seg: Tensor
    loc: Tensor
    track: Tensor
    inside: Tensor
    types: list[str]


class ReasoningBatch(NamedTuple):
    """Cached episodes with packed questions; ids, labels and blocks are (B, L).

    ``blocks`` numbers the question that each token is of, -1 for padding; ``steps`` is the token's
    index within its question.
    """

    queries: Tensor
    boxes: Tensor
    scores: Tensor
    present: Tensor
    valid: Tensor
    pictures: Tensor
    ids: Tensor
    labels: Tensor
    blocks: Tensor
    steps: Tensor
    asked: Asked
    moving: Tensor
    places: Tensor
    causes: Tensor
    facts: Tensor
    known: Tensor
    looks: Tensor


def collate_reasoning(
    episodes: list[CachedEpisode],
    tokenizer: MoraTokenizer,
    templates: tuple[str, str, str],
    rng: np.random.Generator,
    *,
    most: int,
) -> ReasoningBatch:
    """Pack a batch.

    Args:
        episodes: B of them.
        tokenizer: the model's.
        templates: conversation, answer and nothing-answer, from the configuration.
        rng: chooses questions.
        most: questions an episode, at most.
    """
    rows, asked = [], _AskedLists()
    for b, episode in enumerate(episodes):
        questions = episode.note["questions"]
        row = _Row()
        for i in rng.permutation(len(questions))[:most]:
            _add_question(row, asked, b, episode, questions[i], tokenizer, templates)
        rows.append(row)
    length = max(1, *(len(r.ids) for r in rows))
    stacked = {
        name: torch.tensor(np.stack([getattr(e, name) for e in episodes]))
        for name in ("queries", "boxes", "scores", "present", "valid", "pictures")
    }
    for name in ("queries", "boxes", "scores"):
        stacked[name] = stacked[name].float()
    truth = [_track_truth(e) for e in episodes]
    return ReasoningBatch(
        **stacked,
        ids=_padded([r.ids for r in rows], length, 0),
        labels=_padded([r.labels for r in rows], length, IGNORED),
        blocks=_padded([r.blocks for r in rows], length, -1),
        steps=_padded([r.steps for r in rows], length, 0),
        asked=asked.tensors(),
        **{name: torch.stack([t[name] for t in truth]) for name in truth[0]},
        looks=torch.stack([_looks(e) for e in episodes]),
    )


class _Row:
    def __init__(self) -> None:
        self.ids: list[int] = []
        self.labels: list[int] = []
        self.blocks: list[int] = []
        self.steps: list[int] = []


class _AskedLists:
    def __init__(self) -> None:
        self.rows: list[tuple[int, int, int, int, int]] = []
        self.inside: list[np.ndarray] = []
        self.types: list[str] = []

    def tensors(self) -> Asked:
        rows = torch.tensor(self.rows, dtype=torch.long).reshape(-1, 5)
        episode, first, seg, loc, track = rows.unbind(1)
        inside = torch.from_numpy(np.stack(self.inside)) if self.inside else torch.zeros(0, 1)
        return Asked(episode, first, seg, loc, track, inside.float(), self.types)


def _add_question(
    row: _Row,
    asked: _AskedLists,
    b: int,
    episode: CachedEpisode,
    question: dict[str, Any],
    tokenizer: MoraTokenizer,
    templates: tuple[str, str, str],
) -> None:
    conversation, answer_template, nothing = templates
    prompt = tokenizer.encode(build_prompt(conversation, question["text"]))[1:]  # without <s>
    prompt = [i for i in prompt if i != IMAGE_ID]
    target = question["target"]
    name = question["answer"].removeprefix("the ")
    answer = tokenizer.encode_answer(
        nothing if target is None else answer_template.replace("{name}", name)
    )
    start = len(row.ids)
    first = start + len(prompt) - 1
    row.ids += prompt + answer
    row.labels += [IGNORED] * len(prompt) + answer
    row.blocks += [len(asked.rows)] * (len(prompt) + len(answer))
    row.steps += range(len(prompt) + len(answer))
    track = -1 if target is None else int(episode.track_of[target])
    seg, loc = (
        (-1, -1)
        if target is None
        else tuple(
            first + answer.index(i) if (i := tokenizer.id_of(t)) in answer else -1
            for t in ("[SEG]", "[LOC]")
        )
    )
    asked.rows.append((b, first, seg, loc, track))
    asked.inside.append(_inside(episode.stamps, question["span"]))
    asked.types.append(question["type"])


def _inside(stamps: np.ndarray, span: list[float] | None) -> np.ndarray:
    if span is None:
        return np.zeros(len(stamps), bool)
    return np.asarray((stamps >= span[0] - 1e-6) & (stamps <= span[1] + 1e-6))


def _track_truth(e: CachedEpisode) -> dict[str, Tensor]:
    """What is true of each track's object; ``causes`` are tracks, ``known`` tells if it has one."""
    of = e.object_of.astype(int) - 1
    known = of >= 0
    at = np.where(known, of, 0)
    cause = e.causes[at]
    causes = np.where(known & (cause >= 0), e.track_of[np.clip(cause, 0, None) + 1], -1)
    return {
        "moving": torch.from_numpy(e.active[:, at].T.copy()).float(),  # (K, T)
        "places": torch.from_numpy(e.places[:, at].transpose(1, 0, 2).copy()),  # (K, T, 3)
        "causes": torch.from_numpy(causes.astype(np.int64)),  # (K,)
        "facts": torch.from_numpy(e.facts[at]),  # (K, F)
        "known": torch.from_numpy(known),  # (K,)
    }


def _looks(e: CachedEpisode) -> Tensor:
    """Colour and shape of each track's object (K, 2)."""
    objects = e.note["objects"]
    numbered = [(COLOUR_NAMES.index(o["colour"]), SHAPE_NAMES.index(o["shape"])) for o in objects]
    return torch.tensor([numbered[max(0, int(k) - 1)] for k in e.object_of])


def _padded(rows: list[list[int]], length: int, fill: int) -> Tensor:
    return torch.tensor([r + [fill] * (length - len(r)) for r in rows])


class Reasoner(nn.Module):
    """The model's reasoning parts with their losses and auxiliary heads."""

    CAUSE_WIDTH = 64

    def __init__(self, model: MoraForCausalLM, tokenizer: MoraTokenizer) -> None:
        super().__init__()
        self.model = model
        self.bos = tokenizer.bos
        self.seg, self.loc = tokenizer.id_of("[SEG]"), tokenizer.id_of("[LOC]")
        width = model.config.text_config.hidden_size
        self.moving = nn.Linear(width, 1)
        self.place = nn.Linear(width, 3)
        pooled = width * model.config.summary_tokens
        self.effect, self.cause = (
            nn.Linear(pooled, self.CAUSE_WIDTH),
            nn.Linear(pooled, self.CAUSE_WIDTH),
        )
        self.look = nn.Linear(pooled, width)
        self.facts = nn.Linear(pooled, len(FACTS))
        self.verdict = nn.Linear(1, 1)
        self.looks = [
            torch.tensor([tokenizer.encode_text(f" {word}")[0] for word in words])
            for words in (COLOUR_NAMES, SHAPE_NAMES)
        ]

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

    def forward(self, batch: ReasoningBatch) -> StepResult:
        """The losses of a batch, and how often its objects were right."""
        hidden, moments, reasoning = self.run(batch)
        asked = batch.asked
        logits = self.model.lm_head(hidden).float()
        losses = {
            "text": functional.cross_entropy(
                logits[:, :-1].flatten(0, 1), batch.labels[:, 1:].flatten(), ignore_index=IGNORED
            ),
            "first": _first_word(logits, batch),
            **self._auxiliary(batch, reasoning),
        }
        found = asked.track >= 0
        at = asked.episode[found]
        valid, keys = batch.valid[at], reasoning.keys[at].float()
        seg = self.model.seg_embedding(hidden[at, self.seg_positions(asked)[found]]).float()
        pointed = self.model.point(seg, keys, valid)
        if not found.any():  # nothing was tracked: only words can be learned
            return StepResult(losses, {})
        losses["object"] = functional.cross_entropy(pointed, asked.track[found])
        losses |= self._verdicts(batch, hidden, reasoning)
        if self.model.config.temporal_head:
            frames = moments[at] + reasoning.moments[at, asked.track[found]]
            inside = self.model.temporal_head(hidden[at, asked.loc[found]], frames).float()
            truth = asked.inside[found]
            losses["time"] = functional.binary_cross_entropy_with_logits(inside, truth)
            losses["overlap"] = _soft_overlap(inside, truth) * 0.3
        right = pointed.argmax(1) == asked.track[found]
        return StepResult(losses, {"right": right.float().mean()})

    def _verdicts(
        self, batch: ReasoningBatch, hidden: Tensor, reasoning: Reasoning
    ) -> dict[str, Tensor]:
        """Every object is judged for every question, those that have no answer included."""
        asked = batch.asked
        if self.model.config.seg_state != "answer":
            return {}  # answers without [SEG] hold no state to judge from
        sure = (asked.track >= 0) | (asked.seg < 0)  # not where the target was not tracked
        at, track = asked.episode[sure], asked.track[sure]
        valid = batch.valid[at]
        seg = self.model.seg_embedding(hidden[at, asked.first[sure]]).float()
        pointed = self.model.point(seg, reasoning.keys[at].float(), valid)
        judged = self.verdict(pointed[..., None])[..., 0].float()
        truth = torch.arange(valid.shape[1]) == track[:, None]
        return {
            "verdict": functional.binary_cross_entropy_with_logits(
                judged[valid], truth[valid].float()
            )
        }

    def seg_positions(self, asked: Asked) -> Tensor:
        """Where the states are that [SEG] is read from, as the configuration says (Q,).

        With ``token`` the state has read the true name of the object, so figures of training are
        better than those of answering will be.
        """
        return asked.first if self.model.config.seg_state == "answer" else asked.seg

    def _auxiliary(self, batch: ReasoningBatch, reasoning: Reasoning) -> dict[str, Tensor]:
        known, there = batch.known, batch.known[..., None] & batch.present
        moving = self.moving(reasoning.moments)[..., 0].float()[there]
        place = self.place(reasoning.moments).float()[there]
        if not there.any():
            return {}
        flat = reasoning.tokens.flatten(2)
        pairs = self.effect(flat) @ self.cause(flat).transpose(1, 2) / self.CAUSE_WIDTH**0.5
        pairs = pairs.float().masked_fill(~batch.valid[:, None], -1e4)
        wanted = torch.where(known, batch.causes, -1)
        return self._look_losses(batch, flat) | {
            "moving": functional.binary_cross_entropy_with_logits(moving, batch.moving[there]),
            "facts": functional.smooth_l1_loss(
                self.facts(flat[known]).float(), batch.facts[known], beta=0.1
            ),
            "place": functional.smooth_l1_loss(place, batch.places[there] * 5, beta=0.1),
            "cause": functional.cross_entropy(
                pairs.flatten(0, 1), wanted.flatten(), ignore_index=-1
            )
            * 0.5,
        }

    def _look_losses(self, batch: ReasoningBatch, tokens: Tensor) -> dict[str, Tensor]:
        """Object tokens are drawn to the embeddings of the words that describe the objects.

        Without this, the language model is slow to find out which words mean which looks.
        """
        seen = self.look(tokens)[batch.known].float()
        words = self.model.language_model.embed_tokens.weight.float()
        truth = batch.looks[batch.known]
        return {
            name: 0.2 * functional.cross_entropy(seen @ words[ids].T, truth[:, i])
            for i, (name, ids) in enumerate(zip(("colour", "shape"), self.looks, strict=True))
        }


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


def _first_word(logits: Tensor, batch: ReasoningBatch) -> Tensor:
    """The answer's first word alone: it tells whether there is anything to be found."""
    asked = batch.asked
    truth = batch.labels[asked.episode, asked.first + 1]
    return 0.5 * functional.cross_entropy(logits[asked.episode, asked.first], truth)


def _soft_overlap(logits: Tensor, inside: Tensor) -> Tensor:
    chance = logits.sigmoid()
    both = (chance * inside).sum(1)
    return (1 - both / (chance + inside - chance * inside).sum(1).clamp(min=1e-6)).mean()
