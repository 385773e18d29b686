# SPDX-License-Identifier: Apache-2.0
"""Clips with a question, an answer and masks, drawn from data sets by rate.

A sample is a function of its number alone, whatever process draws it, so that runs can be resumed
and spread over processes without changing what they see.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from groundmore_ros.datasets import Dataset, Question, Video
from groundmore_ros.errors import GroundmoreError

__all__ = ["ClipSample", "Mixture", "NoClipError", "phrase", "sample_clip"]

TRIES = 40
# Data sets of expressions hold "the dog that jumps"; MoRA and LISA are asked questions.
EXPRESSION_QUESTIONS = (
    "Can you segment {expression} in this video?",
    "Please segment {expression} in this video.",
    "What is {expression} in this video? Please respond with a segmentation mask.",
    "Which pixels belong to {expression}?",
)


class NoClipError(GroundmoreError):
    """No clip with a known target could be drawn."""


class ClipSample(NamedTuple):
    """A clip to learn from. T frames.

    Attributes:
        frames: T of (H, W, 3) uint8 RGB.
        question: as it is asked.
        name: of the target, where it is known.
        masks: (T, H, W) bool, the target's; None where nothing is the right answer.
        inside: (T,) bool, the event; None where its time is not known.
    """

    frames: list[NDArray[np.uint8]]
    question: str
    name: str
    masks: NDArray[np.bool_] | None
    inside: NDArray[np.bool_] | None


class Mixture:
    """Samples of several data sets, each with its rate."""

    def __init__(
        self, datasets: Sequence[Dataset], rates: Sequence[float], frames: int, seed: int = 0
    ) -> None:
        """Mix data sets.

        Args:
            datasets: to draw from.
            rates: how often, as shares of their sum.
            frames: of a clip.
            seed: of the whole run.

        Raises:
            GroundmoreError: not as many rates as data sets, or none above zero.
        """
        shares = np.asarray(rates, float)
        if len(datasets) != len(rates) or not (shares >= 0).all() or shares.sum() <= 0:
            raise GroundmoreError(f"rates are {list(rates)} for {len(datasets)} data sets")
        self.datasets, self.frames, self.seed = list(datasets), frames, seed
        self._shares = shares / shares.sum()

    def sample(self, number: int) -> ClipSample:
        """The sample of a number.

        Raises:
            NoClipError: the data sets hold no usable question, or next to none.
        """
        rng = np.random.default_rng([self.seed, number])
        for _ in range(TRIES):
            dataset = self.datasets[int(rng.choice(len(self.datasets), p=self._shares))]
            video = dataset.video(dataset.ids[int(rng.integers(len(dataset.ids)))])
            questions = [q for q in video.questions if q.has_target is not None]
            if video.missing or not questions:
                continue
            question = questions[int(rng.integers(len(questions)))]
            sample = sample_clip(rng, video, question, self.frames)
            if sample is not None:
                return sample
        raise NoClipError(f"no usable clip in {TRIES} tries; are the data sets' frames there?")


def sample_clip(rng: Generator, video: Video, question: Question, frames: int) -> ClipSample | None:
    """One clip of a question's frames, evenly with a random start; None where masks are unknown."""
    every = np.asarray(question.frames)
    edges = np.linspace(0, len(every), frames + 1)
    drawn = rng.uniform(edges[:-1], edges[1:]).astype(int)
    at = [int(every[k]) for k in drawn.clip(max=len(every) - 1)]
    at = sorted(set(at))
    pictures = video.pictures(at)
    kept = [(i, p) for i, p in zip(at, pictures, strict=True) if p is not None]
    masks = None
    if question.has_target:
        truths = [video.truth(question, i) for i, _ in kept]
        known = [(k, m) for k, m in zip(kept, truths, strict=True) if m is not None]
        if not any(m.any() for _, m in known):
            return None
        kept, masks = [k for k, _ in known], np.stack([m for _, m in known])
    if not kept:
        return None
    inside = None
    if question.span is not None:
        stamps = video.stamps[[i for i, _ in kept]]
        inside = (stamps >= question.span[0] - 1e-6) & (stamps <= question.span[1] + 1e-6)
    return ClipSample(
        frames=[p for _, p in kept],
        question=phrase(rng, question),
        name=question.answer.removeprefix("the ") if question.has_target else "",
        masks=masks,
        inside=inside,
    )


def phrase(rng: Generator, question: Question) -> str:
    """A question as it is; an expression put into one."""
    text = question.text.strip()
    if question.type != "Referring" or text.endswith(("?", ".", "!")):
        return text
    template = EXPRESSION_QUESTIONS[int(rng.integers(len(EXPRESSION_QUESTIONS)))]
    return template.replace("{expression}", text)
