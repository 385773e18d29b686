# SPDX-License-Identifier: Apache-2.0
"""Known questions in words of near sense, kept where a teacher still knows what they ask.

What is read without a picture may be half understood (:mod:`.lessons`). Questions about a clip have
one answer, so their words are vetted beforehand.
"""

import json
from pathlib import Path
from typing import Self

from numpy.random import Generator

from groundmore_ros.simulation.rewording import Say, reword
from groundmore_ros.training.lessons import NearWords
from groundmore_ros.training.packing import PREDICATES
from groundmore_ros.training.teacher import Teacher

__all__ = ["Wordings"]

SLOT = "{b}"  # as in templates: an object's name without its article
EXAMPLE = "red ball"  # stands there when the teacher is asked
SURE = 0.9  # least chance, by the teacher, of what was asked being asked still


class Wordings:
    """Vetted wordings of each predicate."""

    def __init__(self, texts: dict[str, list[str]]) -> None:
        """Texts by predicate, SLOT where they name an object."""
        self.texts = texts

    @classmethod
    def draw(cls, rng: Generator, count: int, near: NearWords, teacher: Teacher) -> Self:
        """Exchange words of known questions, and ask a teacher which still ask the same.

        Some keep all their words, as few of theirs have near ones.

        Args:
            rng: decides.
            count: how many are tried.
            near: puts the words there.
            teacher: one that has learned what is asked.
        """
        asked = [p for p in PREDICATES if p != "unrelated"]
        drawn: dict[str, str] = {}  # none twice
        for _ in range(count):
            predicate = asked[int(rng.integers(len(asked)))]
            drawn[reword(rng, predicate, f"the {SLOT}", exchange=near.exchange)] = predicate
        chances = teacher.chances([text.replace(SLOT, EXAMPLE) for text in drawn])
        texts: dict[str, list[str]] = {}
        for (text, predicate), row in zip(drawn.items(), chances, strict=True):
            if row[PREDICATES.index(predicate)] >= SURE:
                texts.setdefault(predicate, []).append(text)
        return cls(texts)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Those of a file."""
        return cls(json.loads(path.read_text("utf-8")))

    def save(self, path: Path) -> None:
        """Write a file, never half of it."""
        part = path.with_suffix(".part")
        part.write_text(json.dumps(self.texts, indent=0), "utf-8")
        part.rename(path)

    def mixed(self, share: float) -> Say:
        """What words questions with one of these at a chance of ``share``, else with a template."""

        def say(rng: Generator, predicate: str, name: str) -> str:
            texts = self.texts.get(predicate)
            if not texts or rng.random() >= share:
                return reword(rng, predicate, name)
            text = texts[int(rng.integers(len(texts)))]
            return text.replace(SLOT, name.removeprefix("the "))

        return say
