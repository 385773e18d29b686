# SPDX-License-Identifier: Apache-2.0
"""The exam: a model's answers to questions about simulated episodes, beside trivial rules."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from groundmore_ros.evaluation.metrics import region_similarity, temporal_iou
from groundmore_ros.simulation import MOTION_TYPES, Episode, Question, generate

if TYPE_CHECKING:
    from groundmore_ros.mora import Answer, Mora

__all__ = ["Mark", "as_rows", "examine", "mark", "mark_episode", "report", "trivial_rules"]

RIGHT = 0.5  # mean IoU above which the right object was found


@dataclass(frozen=True)
class Mark:
    """How one question was answered.

    Attributes:
        seed, type, predicate, text, truth, answer: what was asked and said.
        has_target: whether something is the right answer.
        refused: whether the model said that nothing is.
        overlap: mean J of the ungated masks over the frames in which the target is seen.
        inside: mean J of the gated masks over the frames of the true span.
        span: temporal IoU of the best span.
        score: the model's.
        shared_colour: whether two objects of the scene have one colour.
        rules: for each trivial rule, the chance that it is right.
    """

    seed: int
    type: str
    predicate: str
    text: str
    truth: str
    answer: str
    has_target: bool
    refused: bool
    overlap: float
    inside: float
    span: float
    score: float
    shared_colour: bool
    rules: dict[str, float]

    @property
    def right(self) -> bool:
        """Whether the right object was found, or rightly none."""
        return self.overlap > RIGHT if self.has_target else self.refused


def trivial_rules(episode: Episode, question: Question) -> dict[str, float]:
    """The chance that rules which do not understand the question are right about its target."""
    motion = episode.motion
    speed = motion.peak_speed.copy()
    speed[[k - 1 for k in question.named]] = -1
    target = (question.target or 0) - 1
    return {
        "random": 1 / len(speed),
        "largest motion": float(int(motion.image_path.argmax()) == target),
        "fastest not named": float(int(speed.argmax()) == target),
    }


def mark_episode(mora: "Mora", episode: Episode) -> list[Mark]:
    """Ask all questions of an episode; its frames are encoded once."""
    features = [mora.encode(frame) for frame in episode.frames]
    stamps = [float(s) for s in episode.stamps]
    return [
        mark(episode, question, mora.answer_features(features, stamps, question.text))
        for question in episode.questions
    ]


def mark(episode: Episode, question: Question, answer: "Answer") -> Mark:
    """Compare an answer with the truth."""
    colours = [body.colour for body in episode.scene.bodies]
    overlap = inside = span = 0.0
    if question.target is not None and question.span is not None:
        truth = episode.object_masks == question.target
        seen = truth.any(axis=(1, 2))
        overlap = _mean_overlap(truth[seen], answer.mask_logits[seen] > 0)
        during = (episode.stamps >= question.span[0]) & (episode.stamps <= question.span[1]) & seen
        inside = _mean_overlap(truth[during], answer.masks[during])
        span = max((temporal_iou(s[:2], question.span) for s in answer.spans), default=0.0)
    return Mark(
        seed=episode.seed,
        type=question.type,
        predicate=question.predicate,
        text=question.text,
        truth=question.answer,
        answer=answer.plain_text,
        has_target=question.target is not None,
        refused=not answer.objects,
        overlap=overlap,
        inside=inside,
        span=span,
        score=answer.score,
        shared_colour=len(set(colours)) < len(colours),
        rules=trivial_rules(episode, question),
    )


def _mean_overlap(truth: NDArray[np.bool_], masks: NDArray[np.bool_]) -> float:
    pairs = zip(truth, masks, strict=True)
    return float(np.mean([region_similarity(t, m) for t, m in pairs])) if len(truth) else 0.0


def examine(
    model: str, seeds: Sequence[int], workers: int, on_done: Callable[[int], None]
) -> list[Mark]:
    """Put a model through the exam.

    Args:
        model: as for ``Mora.from_pretrained``.
        seeds: of the episodes.
        workers: processes, of one thread each.
        on_done: told the number of episodes finished since the last time.
    """
    marks: list[Mark] = []
    context = get_context("spawn")
    with ProcessPoolExecutor(workers, context, _load_worker, (model,)) as pool:
        for done in as_completed([pool.submit(_examine_seed, seed) for seed in seeds]):
            marks.extend(done.result())
            on_done(1)
    return sorted(marks, key=lambda m: m.seed)


_worker_mora: Any


def _load_worker(model: str) -> None:
    global _worker_mora
    import torch

    from groundmore_ros.mora import Mora

    torch.set_num_threads(1)
    _worker_mora = Mora.from_pretrained(model)


def _examine_seed(seed: int) -> list[Mark]:
    return mark_episode(_worker_mora, generate(seed))


def report(marks: Sequence[Mark]) -> dict[str, Any]:
    """Figures by type, with 95 % intervals by bootstrap over episodes, and the trivial rules'."""
    motion = [m for m in marks if m.type in MOTION_TYPES]
    groups = {"Motion": motion} | {
        kind: [m for m in marks if m.type == kind] for kind in (*MOTION_TYPES, "Referring")
    }
    unanswerable = [m for m in motion if not m.has_target]
    answerable = [m for m in motion if m.has_target]
    return {
        "episodes": len({m.seed for m in marks}),
        "questions": len(marks),
        "types": {name: _figures(group) for name, group in groups.items()},
        "nothing": {
            "questions": len(unanswerable),
            "said so": _share(m.refused for m in unanswerable),
            "false refusals": _share(m.refused for m in answerable),
        },
        "shared colour": {
            str(flag): _share(m.right for m in answerable if m.shared_colour is flag)
            for flag in (True, False)
        },
    }


def _figures(marks: list[Mark]) -> dict[str, Any]:
    with_target = [m for m in marks if m.has_target]
    if not with_target:
        return {"questions": len(marks)}
    rules = with_target[0].rules
    return {
        "questions": len(marks),
        "with target": len(with_target),
        "right object": _interval(with_target, lambda m: float(m.right)),
        "J": _interval(with_target, lambda m: m.overlap),
        "J inside the span": _interval(with_target, lambda m: m.inside),
        "temporal IoU": _interval(with_target, lambda m: m.span),
        "rules": {r: float(np.mean([m.rules[r] for m in with_target])) for r in rules},
    }


def _share(values: Iterable[bool]) -> float | None:
    every = list(values)
    return float(np.mean(every)) if every else None


def _interval(marks: list[Mark], value: Callable[[Mark], float]) -> list[float]:
    """Mean, and the 2.5th and 97.5th percentile of it when episodes are drawn anew."""
    by_seed: dict[int, list[float]] = {}
    for m in marks:
        by_seed.setdefault(m.seed, []).append(value(m))
    sums = np.array([sum(v) for v in by_seed.values()])
    counts = np.array([len(v) for v in by_seed.values()])
    rng = np.random.default_rng(0)
    drawn = rng.integers(len(sums), size=(2000, len(sums)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return [float(sums.sum() / counts.sum()), float(low), float(high)]


def as_rows(marks: Sequence[Mark]) -> list[dict[str, Any]]:
    """Marks as plain values, one a question."""
    return [asdict(m) | {"right": m.right} for m in marks]
