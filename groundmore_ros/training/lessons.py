# SPDX-License-Identifier: Apache-2.0
"""Lessons in words: known questions with words of near sense, and what a teacher says they ask.

After TinyBERT's augmentation and distillation (Jiao et al. 2020, https://arxiv.org/abs/1909.10351):
words are exchanged for others of much the same sense, wrong ones included, and the teacher's
chances tell what is left of the question's. Shape legend: N lessons, P predicates, M words.
"""

import re

import torch
from numpy.random import Generator
from torch.nn import functional

from groundmore_ros.simulation.world import COLOURS, SHAPES
from groundmore_ros.training.reading import Lessons, draw_question
from groundmore_ros.training.teacher import Teacher

__all__ = ["NearWords", "draw_lessons"]

NEAR = 12  # words that may stand for another
LEAST = 0.35  # cosine of two words' meanings, for one to stand for the other
EXCHANGED = 0.3  # share of a question's words
ROWS = 2048  # words compared with all others at a time, which bounds the memory
# Words whose sense is the question's frame, or the object that it names.
_KEPT = """
the and that was were are did does has had have not what which who whom whose where when with
without for from its this there here then than would could should will them they she you your his
her him our out off into onto over under one thing object only just after before first last second
next still while until other another else any all none nothing something
"""
KEPT = frozenset({*_KEPT.split(), *COLOURS, *SHAPES})


class NearWords:
    """Which words a teacher finds of much the same sense."""

    def __init__(self, teacher: Teacher) -> None:
        """Ask a teacher that has not yet learned anything but language."""
        self.words = teacher.words
        self.meanings = teacher.meanings(self.words)  # (V, width)
        self._index = {word: i for i, word in enumerate(self.words)}
        directions = functional.normalize(self.meanings, dim=-1)
        count = min(NEAR + 1, len(self.words))
        found = [(part @ directions.T).topk(count) for part in torch.split(directions, ROWS)]
        # The nearest of all is the word itself.
        self._near = torch.cat([part.indices for part in found])[:, 1:].numpy()
        self._alike = torch.cat([part.values for part in found])[:, 1:].numpy()

    def of(self, word: str) -> list[str]:
        """Words near one, the nearest first."""
        i = self._index.get(word)
        if i is None:
            return []
        pairs = zip(self._near[i], self._alike[i], strict=True)
        return [self.words[j] for j, alike in pairs if alike >= LEAST]

    def exchange(self, rng: Generator, text: str) -> str:
        """A text with some of its words exchanged."""

        def other(found: re.Match[str]) -> str:
            word = found[0]
            near = [] if word.lower() in KEPT else self.of(word.lower())
            if not near or rng.random() >= EXCHANGED:
                return word
            chosen = near[int(rng.integers(len(near)))]
            return chosen.capitalize() if word[0].isupper() else chosen

        return re.sub("[A-Za-z]+", other, text)


def draw_lessons(rng: Generator, count: int, near: NearWords, teacher: Teacher) -> Lessons:
    """Known questions of all kinds with exchanged words, as a teacher understands them."""
    texts = [draw_question(rng, exchange=near.exchange)[0] for _ in range(count)]
    return Lessons(texts, teacher.chances(texts).half(), near.words, near.meanings.half())
