# SPDX-License-Identifier: Apache-2.0
"""What the language model says: word by word, in one pass, and several questions at once."""

from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from conftest import clip, tiny_mora
from lisa_layout import write_lisa

from groundmore_ros.mora import Mora, Status
from groundmore_ros.mora.conversation import build_prompt
from groundmore_ros.mora.generation import generate, prefill, prompt_embeddings
from groundmore_ros.simulation import generate as simulate

STAMPS = [1.0, 1.2, 1.4]


def _says(mora: Mora, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make an untrained model find a text the likeliest, however it is read."""
    ids = mora.tokenizer.encode_answer(text)
    head = mora.model.lm_head
    forward: Callable[[torch.Tensor], torch.Tensor] = type(head).forward.__get__(head)
    said = iter(ids * 50)

    def forced(hidden: torch.Tensor) -> torch.Tensor:
        logits = forward(hidden)
        if hidden.dim() == 3:  # generating: the last position tells the next word
            logits[:, -1] = -50.0
            logits[:, -1, next(said)] = 50.0
        else:  # prefilled: all positions at once
            logits[torch.arange(len(ids)), torch.tensor(ids)] = 60.0
        return logits

    monkeypatch.setattr(head, "forward", forced)


def _frame_wise(folder: Path) -> Mora:
    return Mora.from_pretrained(write_lisa(folder), dtype="float32")


def _clip_wise(folder: Path) -> Mora:
    return tiny_mora(object_queries=0, answer_template="It is [SEG] in [LOC].", max_new_tokens=32)


@pytest.mark.parametrize("make", [_frame_wise, _clip_wise])
def test_prefilling_the_template_gives_what_generating_it_gives(
    make: Callable[[Path], Mora], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same states behind every token, so the same [SEG] prompt, [LOC] and masks."""
    said = make(tmp_path)
    if said.config.pooling == "frame":
        said.config.answer_template = "It is [SEG] ."
    told = Mora(said.model, said.tokenizer, reasoning="prefill")
    _says(said, said.config.answer_template, monkeypatch)
    features = [said.encode(f) for f in clip(3)]
    compared = said.model.compare([f.features for f in features])
    with torch.inference_mode():
        generated, read = (m._say(compared, ["What moves?"])[0] for m in (said, told))
    assert len(generated) == len(read) == (3 if said.config.pooling == "frame" else 1)
    for word_by_word, at_once in zip(generated, read, strict=True):
        assert word_by_word.ids == at_once.ids
        torch.testing.assert_close(word_by_word.states, at_once.states, atol=1e-4, rtol=1e-3)
    answers = [m.answer_features(features, STAMPS, "What moves?") for m in (said, told)]
    assert [a.status for a in answers] == [Status.OK, Status.OK]
    assert answers[0].text == answers[1].text
    assert np.abs(answers[0].mask_logits - answers[1].mask_logits).max() < 1e-4
    assert np.abs(answers[0].frame_scores - answers[1].frame_scores).max() < 1e-4


def test_prefilled_without_a_likely_seg_is_no_object(tmp_path: Path) -> None:
    mora = _clip_wise(tmp_path)
    told = Mora(mora.model, mora.tokenizer, reasoning="prefill")
    assert told.answer(clip(3), STAMPS, "What moves?").status is Status.NO_OBJECT


def test_prompts_of_several_lengths_do_not_disturb_each_other(tmp_path: Path) -> None:
    mora = _clip_wise(tmp_path)
    tokens = torch.randn(1, 5, mora.config.text_config.hidden_size)
    prompts = [
        prompt_embeddings(mora.model, mora.tokenizer, build_prompt("plain", q), tokens)[0]
        for q in ("What?", "Which object moves first after all others have stopped?", "Who runs?")
    ]
    with torch.inference_mode():
        together = generate(mora.model, mora.tokenizer, prompts)
        told = prefill(mora.model, mora.tokenizer, prompts, "[SEG].")
        for prompt, ours, read in zip(prompts, together, told, strict=True):
            alone = generate(mora.model, mora.tokenizer, [prompt])[0]
            assert alone.ids == ours.ids
            torch.testing.assert_close(alone.states, ours.states, atol=1e-5, rtol=1e-4)
            once = prefill(mora.model, mora.tokenizer, [prompt], "[SEG].")[0]
            torch.testing.assert_close(once.states, read.states, atol=1e-5, rtol=1e-4)


def test_many_questions_are_answered_as_each_alone(nano: Mora) -> None:
    episode = simulate(1_000_303)
    stamps = episode.stamps.tolist()
    features = [nano.encode(f) for f in episode.frames]
    questions = ["Which object falls?", "The orange ball", "What moves first of all things?"] * 3
    for question, answer in zip(
        questions, nano.answer_many(features, stamps, questions), strict=True
    ):
        alone = nano.answer_features(features, stamps, question)
        assert answer.text == alone.text
        assert np.array_equal(answer.masks, alone.masks)


def test_questions_that_mean_one_object_have_it_drawn_once(
    nano: Mora, monkeypatch: pytest.MonkeyPatch
) -> None:
    episode = simulate(1_000_303)
    features = [nano.encode(f) for f in episode.frames]
    draw = Mock(wraps=nano.model.draw)
    monkeypatch.setattr(nano.model, "draw", draw)
    questions = ["The orange ball", "Show me the orange ball.", "Where is the orange ball?"]
    answers = list(nano.answer_many(features, episode.stamps.tolist(), questions))
    assert all(np.array_equal(a.masks, answers[0].masks) for a in answers)
    assert answers[0].masks.any()
    assert draw.call_count == 1


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_answers_with_a_fine_mask_decoder(
    dtype: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_lisa(tmp_path)
    mora = Mora.from_pretrained(folder, dtype=dtype)
    assert mora.model.segmenter.mask_decoder.mask_tokens.weight.dtype is torch.float32
    assert mora.model.segmenter.image_encoder.patch_embed.projection.weight.dtype is getattr(
        torch, dtype
    )
    coarse = Mora.from_pretrained(folder, dtype=dtype, decoder_dtype=dtype)
    assert coarse.model.segmenter.mask_decoder.mask_tokens.weight.dtype is getattr(torch, dtype)
    fine = Mora.from_pretrained(folder, dtype="float32")
    masks = []
    for each in (fine, mora, coarse):
        with monkeypatch.context() as patched:
            _says(each, "It is [SEG] .", patched)
            answer = each.answer(clip(1), [0.0], "What moves?")
        assert answer.status is Status.OK
        assert np.isfinite(answer.mask_logits).all()
        masks.append(answer.mask_logits)
    scale = np.abs(masks[0]).max()
    assert np.abs(masks[1] - masks[0]).max() < 0.1 * scale
    assert np.abs(masks[2] - masks[0]).max() < 0.2 * scale


def test_features_kept_in_half_precision_take_half_the_memory(nano: Mora) -> None:
    half = Mora(nano.model, nano.tokenizer, feature_dtype="float16")
    episode = simulate(1_000_303)
    stamps = episode.stamps.tolist()
    fine, coarse = ([m.encode(f) for f in episode.frames] for m in (nano, half))
    assert coarse[0].nbytes < 0.52 * fine[0].nbytes
    answers = [
        m.answer_features(f, stamps, "The orange ball") for m, f in ((nano, fine), (half, coarse))
    ]
    assert answers[0].text == answers[1].text
    first, second = (a.mask_logits > 0 for a in answers)
    assert (first & second).sum() > 0.98 * (first | second).sum() > 0


def test_several_segs_of_frames_are_several_objects(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mora = _frame_wise(tmp_path)
    _says(mora, "[SEG] and [SEG] .", monkeypatch)
    answer = mora.answer(clip(2), [0.0, 0.2], "What moves?")
    assert len(answer.objects) == 2
    assert all(o.mask_logits.shape == (2, 48, 64) for o in answer.objects)
    first, second = (o.mask_logits for o in answer.objects)
    assert not np.allclose(first, second)
