# SPDX-License-Identifier: Apache-2.0
"""Quick figures while reasoning trains: on validation episodes, without generating answers.

Every question is asked twice, in the exam's words and in words that training does not use.
"""

from typing import NamedTuple

import numpy as np
import torch

from groundmore_ros.mora.tokenization import MoraTokenizer
from groundmore_ros.training.augmentation import asked_anew
from groundmore_ros.training.cache import CachedEpisode
from groundmore_ros.training.packing import ReasoningBatch, collate_reasoning
from groundmore_ros.training.reasoning import Reasoner

__all__ = ["validate"]

BATCH = 16
FALSE_REFUSALS = 0.05  # at which it is told how often "nothing" is said rightly


class _Told(NamedTuple):
    """What came of one question.

    Attributes:
        type: its type.
        target: whether it has one.
        right: whether the right track was pointed at; None where there is none.
        overlap: of the span, given the right track; None likewise.
        nothing: chance that the answer's first word is that of "nothing".
        score: chance of the first word not being that, times that of the track pointed at.
        understood: whether what is asked was recognised, whatever was seen.
    """

    type: str
    target: bool
    right: bool | None
    overlap: float | None
    nothing: float
    score: float
    understood: bool


@torch.inference_mode()
def validate(
    module: Reasoner,
    episodes: list[CachedEpisode],
    tokenizer: MoraTokenizer,
    templates: tuple[str, str, str],
) -> dict[str, float]:
    """Figures by name; those in words of others begin with ``words/``."""
    rng = np.random.default_rng(0)
    other = [asked_anew(e, rng, "validation", 1.0) for e in episodes]
    figures: dict[str, float] = {}
    for prefix, some in (("", episodes), ("words/", other)):
        asked: list[_Told] = []
        for start in range(0, len(some), BATCH):
            part = some[start : start + BATCH]
            batch = collate_reasoning(part, tokenizer, templates, rng, most=99)
            asked += _answered(module, batch, tokenizer.encode_answer(templates[2])[0])
        figures |= {prefix + name: value for name, value in _figures(asked).items()}
    return figures


def _answered(module: Reasoner, batch: ReasoningBatch, nothing: int) -> list[_Told]:
    model = module.model
    hidden, moments, reasoning = module.run(batch)
    rows = batch.asked
    chances = model.lm_head(rows.ends(hidden)).float().softmax(-1)[:, nothing].tolist()
    understood = module.asking.understood(batch, hidden).tolist()
    answered = []
    for i, chance in enumerate(chances):
        b, track = int(rows.episode[i]), int(rows.track[i])
        target = int(rows.seg[i]) >= 0
        keys, valid = reasoning.keys[b], batch.valid[b]
        read_at = module.seg_positions(rows)[i] if target else rows.first[i]
        pointed = model.point(model.seg_embedding(hidden[b, read_at]), keys, valid)
        right = overlap = None
        if track >= 0:
            right = int(pointed.argmax()) == track
            if model.config.temporal_head:
                frames = moments[b] + reasoning.moments[b, track]
                logits = model.temporal_head(hidden[b, rows.loc[i]][None], frames[None])[0]
                inside, truth = logits > 0, rows.inside[i] > 0
                overlap = float((inside & truth).sum() / (inside | truth).sum().clamp(min=1))
        score = (1 - chance) * float(pointed.float().softmax(-1).max())
        answered.append(_Told(rows.types[i], target, right, overlap, chance, score, understood[i]))
    return answered


def _figures(asked: list[_Told]) -> dict[str, float]:
    motion = [a for a in asked if a.type not in ("Referring", "Unrelated")]
    groups: dict[str, list[float | bool]] = {
        f"right/{kind}": [a.right for a in asked if a.type == kind and a.right is not None]
        for kind in sorted({a.type for a in asked})
    }
    groups |= {
        "right/motion": [a.right for a in motion if a.right is not None],
        "understood": [a.understood for a in asked if a.type != "Unrelated"],
        "overlap": [a.overlap for a in asked if a.overlap is not None],
        "nothing/said": [a.nothing > 0.5 for a in motion if not a.target],
        "nothing/unrelated": [a.nothing > 0.5 for a in asked if a.type == "Unrelated"],
        "nothing/wrongly": [a.nothing > 0.5 for a in asked if a.target],
    }
    # Tiny data may hold no question of a kind.
    figures = {name: float(np.mean(group)) for name, group in groups.items() if group}
    return figures | _traded(motion)


def _traded(motion: list[_Told]) -> dict[str, float]:
    """How often "nothing" is said rightly at a fixed share of false refusals.

    By the chance of the first word, and by the answer's score.
    """
    target = np.array([a.target for a in motion])
    if target.all() or not target.any():
        return {}
    figures = {}
    for name, sign in (
        ("word", np.array([a.nothing for a in motion])),
        ("score", np.array([-a.score for a in motion])),
    ):
        bar = np.quantile(sign[target], 1 - FALSE_REFUSALS)
        figures[f"traded/{name}"] = float((sign[~target] > bar).mean())
    return figures
