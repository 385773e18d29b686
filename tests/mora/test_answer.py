# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundmore_ros.mora.answer import Answer, AnsweredObject, Status, find_spans, gate

STAMPS = np.arange(6, dtype=np.float64) * 0.2


def test_spans_are_runs_of_active_frames() -> None:
    active = np.array([1, 1, 0, 0, 1, 1], bool)
    scores = np.array([0.6, 0.8, 0.1, 0.1, 1.0, 0.5], np.float32)
    spans = find_spans(active, STAMPS, scores)
    assert [s[:2] for s in spans] == [(0.0, 0.2), (0.8, 1.0)]
    assert [s[2] for s in spans] == pytest.approx([0.7, 0.75])


@given(st.lists(st.booleans(), min_size=1, max_size=30))
def test_spans_hold_all_active_frames_and_no_others(flags: list[bool]) -> None:
    active, stamps = np.array(flags), np.arange(len(flags)) / 7
    spans = find_spans(active, stamps, np.ones(len(flags), np.float32))
    inside = [any(a <= t <= b for a, b, _ in spans) for t in stamps]
    assert inside == flags


def test_the_likeliest_frame_is_always_inside() -> None:
    scores = np.array([0.1, 0.3, 0.2], np.float32)
    assert gate(scores, 0.5).tolist() == [False, True, False]
    assert gate(np.array([0.6, 0.4], np.float32), 0.5).tolist() == [True, False]


def _object(value: float, active: list[bool], score: float) -> AnsweredObject:
    logits = np.full((2, 3, 4), -3, np.float32)
    logits[:, 0, 0] = value
    return AnsweredObject(
        logits, np.array([0.2, 0.9], np.float32), np.array(active), [(1, 1, 0.9)], score
    )


def test_an_answer_is_the_union_of_its_objects() -> None:
    objects = [_object(2, [False, True], 0.5), _object(1, [True, False], 0.4)]
    answer = Answer("It [SEG] and [SEG].", Status.OK, 0.5, np.array([0.0, 1.0]), (3, 4), objects)
    assert answer.masks.sum() == 2
    assert answer.mask_logits[0, 0, 0] == 2
    assert answer.spans == [(1, 1, 0.9)] * 2
    assert answer.plain_text == "It and."


def test_no_object_means_no_masks_and_negative_logits() -> None:
    answer = Answer("Nothing.", Status.NO_OBJECT, 0.0, np.array([0.0, 1.0]), (3, 4), [])
    assert answer.masks.shape == answer.mask_logits.shape == (2, 3, 4)
    assert not answer.masks.any()
    assert (answer.mask_logits < 0).all()
    assert np.isfinite(answer.mask_logits).all()
    assert answer.spans == []
    assert answer.frame_scores.tolist() == [0, 0]
