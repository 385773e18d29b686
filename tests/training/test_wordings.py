# SPDX-License-Identifier: Apache-2.0
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import small_teacher
from torch import Tensor

from groundmore_ros.simulation.phrases import phrases
from groundmore_ros.simulation.rewording import plain, templates_of
from groundmore_ros.training.lessons import NearWords
from groundmore_ros.training.packing import PREDICATES
from groundmore_ros.training.teacher import Teacher
from groundmore_ros.training.wordings import EXAMPLE, SLOT, Wordings


@pytest.fixture(scope="module")
def near() -> NearWords:
    return NearWords(Teacher.load())


class _Sure(Teacher):
    """Knows nothing but that whatever holds the word "over" asks what topples."""

    def __init__(self) -> None:
        small = small_teacher()
        super().__init__(small.reader, small._tokenizer, 32)
        self.asked: list[str] = []

    def chances(self, texts: Sequence[str]) -> Tensor:
        self.asked += texts
        chances = torch.zeros(len(texts), len(PREDICATES))
        for row, text in zip(chances, texts, strict=True):
            row[PREDICATES.index("topples" if "over" in text else "unrelated")] = 1
        return chances


def test_wordings_are_kept_where_the_teacher_is_sure_of_what_was_asked(near: NearWords) -> None:
    teacher = _Sure()
    drawn = Wordings.draw(np.random.default_rng(0), 3000, near, teacher)
    assert drawn.texts.keys() == {"topples"}
    kept = drawn.texts["topples"]
    assert 1 < len(kept) < len(teacher.asked) / 20
    assert all("over" in text for text in kept)
    assert len(teacher.asked) == len(set(teacher.asked))
    assert not any(SLOT in text for text in teacher.asked)
    assert sum(EXAMPLE in text for text in teacher.asked) > 300


def test_words_are_others_than_the_templates_and_never_reserved_ones(near: NearWords) -> None:
    texts = [t for t in _drawn(near).texts["topples"] if plain(t)]
    known = {plain(t) for t in templates_of("topples", "known")}
    assert sum(plain(t) in known for t in texts) < len(texts) / 2
    reserved = {plain(t) for use in ("validation", "held-out") for t in phrases("topples", use)}
    assert not reserved & {plain(t) for t in texts}


def _drawn(near: NearWords) -> Wordings:
    return Wordings.draw(np.random.default_rng(1), 3000, near, _Sure())


def test_names_stand_where_they_did_and_a_file_keeps_all(tmp_path: Path) -> None:
    texts = {"cause": [f"Whatever shoved the {SLOT}?"], "effect": [f"{SLOT} did what"]}
    Wordings(texts).save(tmp_path / "wordings.json")
    say = Wordings.load(tmp_path / "wordings.json").mixed(1.0)
    rng = np.random.default_rng(0)
    assert say(rng, "cause", "the red ball") == "Whatever shoved the red ball?"
    assert say(rng, "effect", "the red ball") == "red ball did what"
    assert [p.name for p in tmp_path.iterdir()] == ["wordings.json"]


def test_a_share_of_the_questions_is_worded_so() -> None:
    say = Wordings({"topples": ["Vetted"]}).mixed(0.25)
    rng = np.random.default_rng(0)
    vetted = np.mean([say(rng, "topples", "") == "Vetted" for _ in range(400)])
    assert vetted == pytest.approx(0.25, abs=0.07)
    assert say(rng, "first", "") != "Vetted"  # no vetted ones: known templates
