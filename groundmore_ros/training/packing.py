# SPDX-License-Identifier: Apache-2.0
"""Batches for reasoning: cached episodes with their questions packed behind one visual prefix.

Shape legend: B episodes, T frames, K tracks, L tokens, Q questions.
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from groundmore_ros.mora.conversation import build_prompt
from groundmore_ros.mora.tokenization import IMAGE_ID, MoraTokenizer
from groundmore_ros.simulation.wording import TYPE_OF
from groundmore_ros.training.cache import CachedEpisode
from groundmore_ros.training.data import COLOUR_NAMES, SHAPE_NAMES

__all__ = [
    "IGNORED",
    "PREDICATES",
    "Asked",
    "ReasoningBatch",
    "collate_reasoning",
    "padded",
    "question_ids",
]

IGNORED = -100
PREDICATES = (*TYPE_OF, "referring", "unrelated")


class Asked(NamedTuple):
    """Where questions stand in the packed sequences, and their answers. Q questions in all.

    Attributes:
        episode: (Q,) which episode of the batch.
        first: (Q,) position that predicts the answer's first token.
        seg: (Q,) position that predicts [SEG], or -1.
        loc: (Q,) position that predicts [LOC], or -1.
        track: (Q,) the track that is meant, or -1.
        predicate: (Q,) what is asked, by its place in PREDICATES.
        named: (Q,) the track of the object that the question names, or -1.
        inside: (Q, T) whether each frame is inside the event.
        types: the questions' types.
    """

    episode: Tensor
    first: Tensor
    seg: Tensor
    loc: Tensor
    track: Tensor
    predicate: Tensor
    named: Tensor
    inside: Tensor
    types: list[str]

    def ends(self, hidden: Tensor) -> Tensor:
        """States (Q, E) at the questions' ends, of all (B, L, E)."""
        return hidden[self.episode, self.first]


class ReasoningBatch(NamedTuple):
    """Cached episodes with packed questions.

    Attributes:
        queries, boxes, scores, present, valid, pictures: as in the cache, a dimension B before.
        ids: (B, L) tokens of all questions and answers, one behind the other.
        labels: (B, L) what each token should be, IGNORED outside the answers.
        blocks: (B, L) the number of the question that each token is of, -1 for padding.
        steps: (B, L) each token's index within its question.
        asked: where the questions stand, and their answers.
        moving: (B, K, T) 1 where each track's object moves, else 0.
        places: (B, K, T, 3) centre of each track's object, m, world frame.
        causes: (B, K) the track that set each in motion, -1 for none.
        facts: (B, K, F) of each track's object, as in the shards.
        known: (B, K) whether a track is an object's.
        looks: (B, K, 2) colour and shape of each track's object, UNNAMED for none.
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
        ids=padded([r.ids for r in rows], length, 0),
        labels=padded([r.labels for r in rows], length, IGNORED),
        blocks=padded([r.blocks for r in rows], length, -1),
        steps=padded([r.steps for r in rows], length, 0),
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

    def add(self, block: int, prompt: list[int], answer: list[int]) -> int:
        """Append a question; returns the position that predicts the answer's first token."""
        length = len(prompt) + len(answer)
        self.ids += prompt + answer
        self.labels += [IGNORED] * len(prompt) + answer
        self.blocks += [block] * length
        self.steps += range(length)
        return len(self.ids) - len(answer) - 1


class _AskedLists:
    NUMBERS = ("episode", "first", "seg", "loc", "track", "predicate", "named")

    def __init__(self) -> None:
        self.rows: list[dict[str, int]] = []
        self.inside: list[np.ndarray] = []
        self.types: list[str] = []

    def tensors(self) -> Asked:
        inside = torch.from_numpy(np.stack(self.inside)) if self.inside else torch.zeros(0, 1)
        numbers = {n: torch.tensor([row[n] for row in self.rows]).long() for n in self.NUMBERS}
        return Asked(**numbers, inside=inside.float(), types=self.types)


def _add_question(
    row: _Row,
    asked: _AskedLists,
    b: int,
    episode: CachedEpisode,
    question: dict[str, Any],
    tokenizer: MoraTokenizer,
    templates: tuple[str, str, str],
) -> None:
    prompt, answer = _tokens(question, tokenizer, templates)
    first = row.add(len(asked.rows), prompt, answer)
    asked.rows.append(
        {
            "episode": b,
            "first": first,
            "seg": _predicted_at(first, answer, tokenizer.id_of("[SEG]")),
            "loc": _predicted_at(first, answer, tokenizer.id_of("[LOC]")),
            "track": _track(episode, question["target"]),
            "predicate": PREDICATES.index(question["predicate"]),
            "named": _track(episode, question["named"][0] if question["named"] else None),
        }
    )
    asked.inside.append(_inside(episode.stamps, question["span"]))
    asked.types.append(question["type"])


def _tokens(
    question: dict[str, Any], tokenizer: MoraTokenizer, templates: tuple[str, str, str]
) -> tuple[list[int], list[int]]:
    """The question behind the visual prefix, and its answer."""
    conversation, answer_template, nothing = templates
    prompt = question_ids(tokenizer, conversation, question["text"])[1:]  # without <s>
    name = question["answer"].removeprefix("the ")
    answer = nothing if question["target"] is None else answer_template.replace("{name}", name)
    return prompt, tokenizer.encode_answer(answer)


def question_ids(tokenizer: MoraTokenizer, conversation: str, text: str) -> list[int]:
    """A question's tokens from <s> on, without the place of the image."""
    return [i for i in tokenizer.encode(build_prompt(conversation, text)) if i != IMAGE_ID]


def _track(episode: CachedEpisode, number: int | None) -> int:
    return -1 if number is None else int(episode.track_of[number])


def _predicted_at(first: int, answer: list[int], token: int) -> int:
    return first + answer.index(token) if token in answer else -1


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


def padded(rows: list[list[int]], length: int, fill: int) -> Tensor:
    """Rows (R, length) filled up at their ends."""
    return torch.tensor([r + [fill] * (length - len(r)) for r in rows])
