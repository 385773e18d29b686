# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from conftest import tiny_mora
from test_reasoning import TEMPLATES, episode

from groundmore_ros.training.reasoning import Reasoner
from groundmore_ros.training.validation import _figures, _Told, validate


def _asked(kind: str, target: bool, nothing: float, score: float = 0.5) -> _Told:
    return _Told(kind, target, target or None, 0.5 if target else None, nothing, score, True)


def test_figures_are_shares_of_the_questions_they_are_about() -> None:
    asked = [
        _Told("Causal", True, True, 0.8, 0.1, 0.1, True),
        _Told("Causal", True, False, 0.4, 0.6, 0.1, True),
        _Told("Causal", True, None, None, 0.2, 0.1, True),  # its target was not tracked
        _Told("Referring", True, True, 1.0, 0.0, 0.0, True),
        _Told("Causal", False, None, None, 0.9, 0.9, True),
        _Told("Unrelated", False, None, None, 0.2, 0.9, False),
    ]
    figures = _figures(asked)
    assert figures["right/motion"] == figures["right/Causal"] == 0.5
    assert figures["right/Referring"] == 1.0
    assert figures["overlap"] == pytest.approx(2.2 / 3)
    assert figures["nothing/said"] == 1.0
    assert figures["nothing/unrelated"] == 0.0
    assert figures["nothing/wrongly"] == 0.25
    assert figures["understood"] == 1.0
    assert "right/Unrelated" not in figures


def test_nothing_is_traded_at_a_fixed_share_of_false_refusals() -> None:
    """A hundred questions with a target, whose words put five above 0.8; scores tell nothing."""
    asked = [_asked("Causal", True, 0.85 if k < 5 else 0.3) for k in range(100)]
    asked += [_asked("Causal", False, chance) for chance in (0.9, 0.9, 0.82, 0.2)]
    figures = _figures(asked)
    assert figures["traded/word"] == 0.75
    assert figures["traded/score"] == 0.0


def test_every_question_is_asked_in_words_of_others_too() -> None:
    mora = tiny_mora(seg_state="answer")
    some = episode(3)
    some.note["questions"] = [
        q | {"predicate": "effect", "named": [2], "name": "the blue cube"}
        for q in some.note["questions"]
    ]
    module = Reasoner(mora.model, mora.tokenizer).eval()
    figures = validate(module, [some], mora.tokenizer, TEMPLATES)
    for name in ("right/motion", "overlap", "nothing/said", "nothing/wrongly", "traded/score"):
        assert 0 <= figures[name] <= 1
        assert 0 <= figures[f"words/{name}"] <= 1
    assert "nothing/unrelated" not in figures
    assert figures["words/nothing/unrelated"] in (0.0, 1.0)
    assert np.isfinite(list(figures.values())).all()
