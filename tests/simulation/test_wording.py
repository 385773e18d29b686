# SPDX-License-Identifier: Apache-2.0
import itertools
import re
from collections import Counter

import numpy as np
import pytest

from groundmore_ros.simulation import generate, patterns
from groundmore_ros.simulation.phrases import USES, phrases
from groundmore_ros.simulation.rewording import (
    _template,
    look_name,
    paraphrase,
    plain,
    reword,
    strange,
    templates_of,
    typed,
)
from groundmore_ros.simulation.unrelated import unrelated
from groundmore_ros.simulation.wording import TEMPLATES, TYPE_OF
from groundmore_ros.simulation.world import COLOURS, SHAPES

KINDS = {"Causal", "Sequential", "Counterfactual", "Descriptive"}
LOOKS = [("red", "ball"), ("red", "cube"), ("blue", "cube")]


EVERY = (*TEMPLATES, "referring")


def test_thousands_of_wordings_none_twice_and_a_tenth_held_out() -> None:
    by_use = {use: [t for p in EVERY for t in templates_of(p, use)] for use in USES}
    every = [t for group in by_use.values() for t in group]
    assert len(every) >= 26000
    assert Counter(map(plain, every)).most_common(1)[0][1] == 1
    assert 0.08 <= len(by_use["held-out"]) / len(every) <= 0.12
    counts = Counter(TYPE_OF[p] for p in TEMPLATES for _ in templates_of(p, "known"))
    assert set(counts) == KINDS
    assert min(counts.values()) >= 200


@pytest.mark.parametrize("predicate", EVERY)
def test_every_predicate_has_templates_of_every_use(predicate: str) -> None:
    groups = [templates_of(predicate, use) for use in USES]
    assert min(map(len, groups)) >= 3
    assert {t for group in groups for t in group} == set(templates_of(predicate, "all"))
    slots = {("{a}" in t or "{b}" in t) for group in groups for t in group}
    assert len(slots) == 1  # all name an object, or none does


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
    for predicate in EVERY:
        named = "{" in templates_of(predicate, "known")[0]
        for _ in range(20):
            text = reword(rng, predicate, "the red ball")
            assert ("red ball" in text) == named
    kept = {t.lower().rstrip("?.!") for t in templates_of("fastest", "validation")}
    texts = [reword(rng, "fastest", "", "validation").lower() for _ in range(100)]
    assert sum(any(t in text for t in kept) for text in texts) == 100


def test_patterns_hold_their_slots_and_nothing_else() -> None:
    rng = np.random.default_rng(0)
    drawn = {p: {patterns.draw(rng, p, strange) for _ in range(400)} for p in EVERY}
    assert sum(texts != {None} for texts in drawn.values()) >= 20
    for predicate, texts in drawn.items():
        if texts == {None}:
            continue
        assert len(texts) > 30, predicate
        named = "{" in templates_of(predicate, "known")[0]
        for text in texts:
            assert text is not None
            assert not set("[]|<>") & set(text), text
            assert text.count("{a}") + text.count("{b}") == named, text
            assert text[-1] in "?."


def test_no_known_wording_becomes_one_that_is_held_out() -> None:
    rng = np.random.default_rng(0)
    kept = {plain(t) for p in EVERY for use in USES[1:] for t in templates_of(p, use)}
    for predicate in EVERY:
        texts = {_template(rng, predicate, "known") for _ in range(300)}
        assert not {plain(t) for t in texts} & kept


@pytest.mark.parametrize("section", ["openings", "endings"])
def test_what_stands_around_a_question_is_held_out_as_well(section: str) -> None:
    groups = [phrases(section, use) for use in USES]
    every = [phrase for group in groups for phrase in group]
    assert all(("{q}" in phrase) != ("{Q}" in phrase) for phrase in every)
    assert section == "openings" or all("{q}" in phrase for phrase in every)
    assert Counter(every).most_common(1)[0][1] == 1
    assert all(0.07 < len(group) / len(every) < 0.13 for group in groups[1:])
    rng = np.random.default_rng(0)
    around = {use: {paraphrase(rng, "Q?", use) for _ in range(2000)} for use in USES}
    for one, other in itertools.combinations(USES, 2):
        assert around[one] & around[other] <= {"Q?", "Q", "q?", "q"}


def test_slips_of_typing_are_small_and_now_and_then() -> None:
    rng = np.random.default_rng(0)
    text = "Which object starts to move right after the red ball?"
    written = Counter(typed(rng, text) for _ in range(1000))
    assert 0.7 < written.pop(text) / 1000 < 0.8
    assert len(written) > 100
    assert all(abs(len(w) - len(text)) <= 18 for w in written)


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
    texts = [unrelated(rng, LOOKS)[0] for _ in range(400)]
    for text in texts:
        for colour, shape in LOOKS:
            assert f"the {colour} {shape}" not in text.lower()
    assert len(set(texts)) > 300


def test_held_out_nouns_and_sentences_stay_out_of_training() -> None:
    rng = np.random.default_rng(1)
    text = " ".join(unrelated(rng, LOOKS)[0] for _ in range(3000)).lower()
    for use in ("validation", "held-out"):
        assert len(phrases("nouns", use)) > 30
        assert not any(re.search(rf"\b{noun}\b", text) for noun in phrases("nouns", use))
        assert not any(s.lower() in text for s in phrases("sentences", use))
    assert sum(noun in text for noun in phrases("nouns", "known")) > 250
    assert sum(s.lower()[:-1] in text for s in phrases("sentences", "known")) > 200
