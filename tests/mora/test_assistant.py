# SPDX-License-Identifier: Apache-2.0
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import clip, tiny_mora

from groundmore_ros.errors import BadFrameError, BadQuestionError, ModelError
from groundmore_ros.mora import Mora, Status
from groundmore_ros.mora.answer import Answer

STAMPS = [1.0, 1.2, 1.4, 1.6]


def _speak(mora: Mora, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make an untrained model say a text."""
    ids = mora.tokenizer.encode_answer(text)
    steps = iter(ids * 10)
    forward = type(mora.model).forward

    def forced(self, *args, **kwargs):  # type: ignore[no-untyped-def]
        out = forward(self, *args, **kwargs)
        out.logits[:, -1] = -50
        out.logits[:, -1, next(steps)] = 50
        return out

    monkeypatch.setattr(type(mora.model), "forward", forced)


@pytest.mark.parametrize("queries", [0, 3])
def test_an_answer_has_masks_scores_and_spans(
    queries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    mora = tiny_mora(object_queries=queries, max_new_tokens=16)
    if queries:  # an untrained model finds nothing by itself
        with torch.no_grad():
            mora.model.object_queries.objectness.bias.fill_(3.0)
    _speak(mora, "It [SEG] [LOC].", monkeypatch)
    answer = mora.answer(clip(), STAMPS, "What moves?")
    assert answer.status is Status.OK
    assert answer.text == "It [SEG] [LOC]."
    assert answer.mask_logits.shape == answer.masks.shape == (4, 48, 64)
    assert answer.mask_logits.dtype == answer.frame_scores.dtype == np.float32
    found = answer.objects[0]
    assert np.array_equal(found.masks, (found.mask_logits > 0) & found.active[:, None, None])
    assert found.active.any()
    assert ((found.frame_scores >= 0) & (found.frame_scores <= 1)).all()
    assert 0 < found.score <= 1
    assert all(start in STAMPS and end in STAMPS for start, end, _ in answer.spans)


def test_several_segs_are_several_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    mora = tiny_mora(object_queries=0, max_new_tokens=16)
    _speak(mora, "[SEG] [LOC] [SEG].", monkeypatch)
    answer = mora.answer(clip(), STAMPS, "What moves?")
    assert len(answer.objects) == 2
    assert (answer.objects[1].frame_scores == 1).all()  # no [LOC] follows the second


def test_no_seg_is_no_object(monkeypatch: pytest.MonkeyPatch) -> None:
    mora = tiny_mora()
    _speak(mora, "No.", monkeypatch)
    answer = mora.answer(clip(), STAMPS, "What moves?")
    assert (answer.status, answer.text, answer.spans) == (Status.NO_OBJECT, "No.", [])
    assert not answer.masks.any()


def test_a_score_below_the_threshold_is_no_object(monkeypatch: pytest.MonkeyPatch) -> None:
    mora = tiny_mora(object_queries=0, score_threshold=1.1)
    _speak(mora, "[SEG].", monkeypatch)
    assert mora.answer(clip(), STAMPS, "What moves?").status is Status.NO_OBJECT


def _same(first: Answer, second: Answer) -> bool:
    return (
        first.text == second.text
        and first.spans == second.spans
        and np.array_equal(first.mask_logits, second.mask_logits)
    )


def test_features_give_the_same_answer_and_depend_on_their_frame_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mora = tiny_mora(object_queries=0)
    _speak(mora, "[SEG].", monkeypatch)
    frames = clip()
    backwards = [mora.encode(f) for f in frames[::-1]][::-1]
    asked = mora.answer(frames, STAMPS, "What moves?")
    assert _same(asked, mora.answer_features(backwards, STAMPS, "What moves?"))


def test_saved_and_loaded_it_answers_alike(tmp_path: Path) -> None:
    mora = tiny_mora()
    mora.model.save_pretrained(tmp_path)
    mora.tokenizer.save(tmp_path)
    loaded = Mora.from_pretrained(tmp_path)
    assert loaded.config.object_queries == 3
    first, second = (m.answer(clip(), STAMPS, "What moves?") for m in (mora, loaded))
    assert _same(first, second)


def test_missing_weights_are_named(tmp_path: Path) -> None:
    mora = tiny_mora()
    state = {k: v for k, v in mora.model.state_dict().items() if "temporal_head" not in k}
    mora.model.save_pretrained(tmp_path, state_dict=state)
    mora.tokenizer.save(tmp_path)
    with pytest.raises(ModelError, match=re.escape("temporal_head.frame.bias")):
        Mora.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("frames", "stamps", "complaint"),
    [
        ([], [], "0 frames"),
        (clip(2), [1.0], "2 frames and stamps of shape (1,)"),
        (clip(2), [1.0, 1.0], "expected rising seconds"),
        (clip(2), [1.0, float("nan")], "expected rising seconds"),
        ([*clip(1), *clip(1, 32, 32)], [1.0, 2.0], "frames of several sizes"),
        ([np.zeros((4, 4), np.uint8)], [1.0], "expected uint8 (height, width, 3)"),
        ([np.zeros((4, 4, 3), np.float32)], [1.0], "frame is float32"),
        ([np.zeros((0, 4, 3), np.uint8)], [1.0], "(0, 4, 3)"),
    ],
)
def test_bad_clips(frames: list, stamps: list, complaint: str) -> None:
    with pytest.raises(BadFrameError, match=re.escape(complaint)):
        tiny_mora().answer(frames, stamps, "What moves?")


def test_bad_questions() -> None:
    mora = tiny_mora()
    for question, complaint in (("", "empty"), ("\n\t", "empty"), ("x" * 2000, "2000 characters")):
        with pytest.raises(BadQuestionError, match=complaint):
            mora.answer(clip(), STAMPS, question)
    with pytest.raises(BadQuestionError, match="the model has 256 positions"):
        mora.answer(clip(), STAMPS, "xyz " * 240)


@pytest.mark.parametrize("size", [(1, 1), (7, 200), (200, 7), (720, 1280)])
def test_any_frame_size(size: tuple[int, int]) -> None:
    answer = tiny_mora().answer(clip(2, *size), [0.0, 0.1], "What moves?")
    assert answer.masks.shape == (2, *size)


def test_what_is_not_built_is_refused() -> None:
    with pytest.raises(ModelError, match="decoder is 'openvino'"):
        Mora.from_pretrained("mora-nano", decoder="openvino")
    with pytest.raises(ModelError, match="dtype is 'int3'"):
        Mora.from_pretrained("mora-nano", dtype="int3")
