# SPDX-License-Identifier: Apache-2.0
from collections import Counter

import numpy as np

from groundmore_ros.simulation.questions import reword
from groundmore_ros.simulation.wording import TEMPLATES, TYPE_OF
from groundmore_ros.simulation.world import COLOURS, SHAPES


def test_several_dozen_wordings_a_type_and_none_twice() -> None:
    counts = Counter(TYPE_OF[p] for p, group in TEMPLATES.items() for _ in group)
    assert set(counts) == {"Causal", "Sequential", "Counterfactual", "Descriptive"}
    assert min(counts.values()) >= 30
    every = [t for group in TEMPLATES.values() for t in group]
    assert len(set(every)) == len(every)


def test_many_wordings_name_no_shape_and_no_colour() -> None:
    words = {*COLOURS, *SHAPES, "{a}"}
    for kind in ("Causal", "Sequential", "Counterfactual", "Descriptive"):
        plain = [
            t
            for p, group in TEMPLATES.items()
            if TYPE_OF[p] == kind
            for t in group
            if not any(w in t for w in words)
        ]
        assert len(plain) >= 10


def test_names_fit_one_object_only() -> None:
    looks = [("red", "ball"), ("red", "cube"), ("blue", "cube")]
    rng = np.random.default_rng(0)
    texts = {reword(rng, "cause", [1], looks) for _ in range(200)}
    assert any("the red ball" in t for t in texts)
    assert any("the ball" in t for t in texts)
    assert not any("the red object" in t or "the red thing" in t for t in texts)
    blue = {reword(rng, "cause", [3], looks) for _ in range(200)}
    assert not any("the cube" in t for t in blue)
