# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest
import torch
from conftest import clip
from lisa_layout import write_lisa

from groundmore_ros.errors import ModelError
from groundmore_ros.mora import published_bench
from groundmore_ros.mora.loading import LoadOptions
from groundmore_ros.mora.modeling import MoraForCausalLM
from groundmore_ros.mora.published import find_config
from groundmore_ros.mora.published_bench import bench_published, random_model


def test_every_part_is_measured_in_the_precision_that_was_asked_for(tmp_path: Path) -> None:
    options = LoadOptions(dtype="bfloat16")
    config = find_config(str(write_lisa(tmp_path)), options)
    tables = bench_published(config, options, clip(4), repeats=1)
    encoders, decoder, questions = tables.values()
    assert [r["way"] for r in encoders] == ["1 at once", "2 at once", "4 at once"]
    for row in encoders:
        assert row["frames/s"] == pytest.approx(int(row["way"][0]) / row["seconds"])
    assert list(tables)[1] == "mask decoder (in float32)"  # whatever the rest is in
    assert [r["way"] for r in decoder] == ["one by one", "in one batch"]
    assert questions[0]["way"] == "nothing kept"
    assert questions[2]["way"] == f"features kept, {config.max_new_tokens} words generated"


def test_random_models_have_the_sizes_of_their_kind(tmp_path: Path) -> None:
    options = LoadOptions(dtype="float16")
    config = find_config(str(write_lisa(tmp_path)), options)
    model = random_model(config, options)
    assert model.lm_head.weight.dtype == torch.float16
    assert model.segmenter.mask_decoder.mask_tokens.weight.dtype == torch.float32
    assert all(p.isfinite().all() for p in model.parameters())


def test_models_that_choose_their_words_are_measured_too() -> None:
    options = LoadOptions()
    config = find_config("mora-nano", options)
    tables = bench_published(config, options, clip(2), repeats=1)
    assert [row["way"] for row in tables["a question"]] == ["nothing kept", "features kept"]
    model = random_model(config, options)
    assert config.tie_word_embeddings
    assert model.lm_head.weight is model.language_model.embed_tokens.weight


def test_a_way_that_there_is_no_memory_for_has_no_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def encode(self: MoraForCausalLM, sam: torch.Tensor, clips: torch.Tensor) -> None:
        if len(sam) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(MoraForCausalLM, "encode_frames", encode)
    monkeypatch.setattr(published_bench, "_questions", lambda *_: [])
    options = LoadOptions()
    config = find_config(str(write_lisa(tmp_path)), options)
    encoders = next(iter(bench_published(config, options, clip(4), repeats=1).values()))
    assert [r["seconds"] is None for r in encoders] == [False, False, True]
    assert encoders[2] == dict.fromkeys(encoders[0]) | {"way": "4 at once"}


def test_a_device_that_is_not_there_is_told(tmp_path: Path) -> None:
    options = LoadOptions(device="cuda:63")
    with pytest.raises(ModelError, match="the model cannot be put on cuda:63"):
        random_model(find_config(str(write_lisa(tmp_path)), options), options)
