# SPDX-License-Identifier: Apache-2.0
import re
from collections import Counter

import numpy as np
import pytest

from groundmore_ros.simulation import generate
from groundmore_ros.simulation.rewording import HELD_OUT, look_name, reword, templates_of
from groundmore_ros.simulation.unrelated import NOUNS, SENTENCES, unrelated
from groundmore_ros.simulation.wording import TEMPLATES, TYPE_OF
from groundmore_ros.simulation.world import COLOURS, SHAPES

KINDS = {"Causal", "Sequential", "Counterfactual", "Descriptive"}
LOOKS = [("red", "ball"), ("red", "cube"), ("blue", "cube")]


def test_over_two_hundred_wordings_none_twice_and_a_tenth_held_out() -> None:
    every = [t for p in TEMPLATES for t in templates_of(p, "all")]
    assert len(every) >= 200
    assert len(set(every)) == len(every)
    counts = Counter(TYPE_OF[p] for p in TEMPLATES for _ in templates_of(p, "all"))
    assert set(counts) == KINDS
    assert min(counts.values()) >= 30
    assert 0.08 <= sum(t in HELD_OUT for t in every) / len(every) <= 0.15


@pytest.mark.parametrize("predicate", [*TEMPLATES, "referring"])
def test_every_predicate_has_known_and_held_out_templates(predicate: str) -> None:
    known, held_out = (templates_of(predicate, w) for w in ("known", "held-out"))
    assert known
    assert held_out
    assert not set(known) & HELD_OUT
    assert set(known) | set(held_out) == set(templates_of(predicate, "all"))


def test_many_wordings_name_no_shape_and_no_colour() -> None:
    words = {*COLOURS, *SHAPES, "{a}"}
    for kind in KINDS:
        plain = [
            t
            for p, group in TEMPLATES.items()
            if TYPE_OF[p] == kind
            for t in group
            if not any(w in t for w in words)
        ]
        assert len(plain) >= 10


def test_names_fit_one_object_only() -> None:
    rng = np.random.default_rng(0)
    names = {look_name(rng, 0, LOOKS) for _ in range(100)}
    assert names == {"the red ball", "the ball"}
    assert "the cube" not in {look_name(rng, 2, LOOKS) for _ in range(100)}


def test_reworded_questions_keep_the_name_and_use_what_they_may() -> None:
    rng = np.random.default_rng(0)
    parts = [re.escape(t).replace(re.escape("{a}"), ".*") for t in HELD_OUT]
    held_out = re.compile("|".join(p.rstrip(r"\?.") for p in parts), re.IGNORECASE)
    for predicate in TEMPLATES:
        for _ in range(20):
            text = reword(rng, predicate, "the red ball")
            assert not held_out.search(text), text
            if any("{a}" not in t and "{b}" not in t for t in templates_of(predicate, "all")):
                continue
            assert "red ball" in text


def test_other_words_change_nothing_else() -> None:
    """Known and held-out wordings ask the same questions, so figures can be compared in pairs."""
    for seed in range(3):
        known, held_out = (
            generate(seed, rephrased_share=1.0, wordings=w) for w in ("known", "held-out")
        )
        assert len(known.questions) == len(held_out.questions)
        for one, other in zip(known.questions, held_out.questions, strict=True):
            assert (one.predicate, one.target, one.span) == (
                other.predicate, other.target, other.span,
            )  # fmt: skip
            assert one.text != other.text


def test_unrelated_questions_fit_no_object() -> None:
    rng = np.random.default_rng(0)
    texts = [unrelated(rng, LOOKS) for _ in range(400)]
    for text in texts:
        for colour, shape in LOOKS:
            assert f"the {colour} {shape}" not in text.lower()
    assert len(set(texts)) > 300


def test_held_out_nouns_and_sentences_stay_out_of_training() -> None:
    rng = np.random.default_rng(1)
    text = " ".join(unrelated(rng, LOOKS) for _ in range(1500)).lower()
    for noun in NOUNS[-(len(NOUNS) // 10) :]:
        assert not re.search(rf"\b{noun}\b", text)
    assert not any(s.lower() in text for s in SENTENCES[-(len(SENTENCES) // 10) :])
    assert sum(noun in text for noun in NOUNS) > 100
