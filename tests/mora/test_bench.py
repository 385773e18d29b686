# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest
import torch
from conftest import clip
from lisa_layout import write_lisa

from groundmore_ros.errors import ModelError
from groundmore_ros.mora import Mora
from groundmore_ros.mora.answer import NO_MASK_LOGIT
from groundmore_ros.mora.bench import QUESTION, bench_loading, bench_question, bench_together
from groundmore_ros.mora.plain import plain_answer


def _that_draws(mora: Mora) -> Mora:
    """Random weights that say [SEG] and nothing else."""
    head, word = mora.model.lm_head.weight, mora.tokenizer.id_of("[SEG]")
    for sign in (1.0, -1.0):
        with torch.no_grad():
            head.zero_()
            head[word] = sign
        if mora.answer(clip(2), [0.0, 0.2], QUESTION).mask_logits.max() > NO_MASK_LOGIT:
            return mora
    raise AssertionError("it says no [SEG]")


def test_all_ways_to_answer_give_the_same_masks(tmp_path: Path) -> None:
    mora = _that_draws(Mora.from_pretrained(write_lisa(tmp_path)))
    rows = {r["way"]: r for r in bench_question(mora, clip(2), repeats=1)}
    assert list(rows) == [
        "plain, frame by frame", "nothing kept", "features kept", "features kept, prefilled",
    ]  # fmt: skip
    assert rows["plain, frame by frame"]["ratio"] == 1.0
    for way in ("nothing kept", "features kept"):
        assert rows[way]["difference"] < 1e-4
    assert rows["features kept, prefilled"]["difference"] is None
    calls = [(row["encoder calls"], row["CLIP calls"]) for row in rows.values()]
    # The plain way looks anew for each token.
    assert calls == [(2, 2 * mora.config.max_new_tokens), (2, 2), (0, 0), (0, 0)]


def test_encoders_are_counted_wherever_they_run(nano_engines: Path) -> None:
    mora = Mora.from_pretrained("mora-nano", encoder="onnx", engines=nano_engines)
    first, *_, last = bench_question(mora, clip(2), repeats=1)
    assert (first["encoder calls"], first["CLIP calls"]) == (2, 2)
    assert (last["encoder calls"], last["CLIP calls"]) == (0, 0)


def test_eight_questions_at_once_have_the_answers_of_each_alone(nano: Mora) -> None:
    alone, together = bench_together(nano, clip(4), repeats=1)
    assert [alone["way"], together["way"]] == ["one after the other", "eight at once"]
    assert together["same answers"] == 8


def test_models_that_pool_have_no_plain_form_here(nano: Mora) -> None:
    with pytest.raises(ModelError, match="pooling is 'spatiotemporal'; expected 'frame'"):
        plain_answer(nano, [], "Which object falls?")


def test_loading_is_measured_in_a_process_of_its_own(tiny_folder: Path) -> None:
    figures = bench_loading(tiny_folder, "auto")
    assert figures["held"] > 100_000
    assert figures["ratio"] == figures["peak"] / figures["held"]
    with pytest.raises(ModelError, match="config.json cannot be read"):
        bench_loading(tiny_folder / "nowhere", "auto")
