# SPDX-License-Identifier: Apache-2.0
"""Checkpoints in LISA's layout: names, shapes and sizes as published; loading; parity."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lisa_layout import (
    TINY_SAM,
    Shapes,
    clip_shapes,
    lisa_shapes,
    random_weights,
    sam_shapes,
    write_lisa,
    write_shards,
)
from safetensors.torch import save_file

from groundmore_ros.errors import BadQuestionError, ModelError
from groundmore_ros.mora import Mora
from groundmore_ros.mora.checkpoint import Source, build_empty, fill
from groundmore_ros.mora.conversation import build_prompt
from groundmore_ros.mora.lisa import SAM_SIZES, clip_key, lisa_config, lisa_key, sam_key
from groundmore_ros.mora.tokenization import MoraTokenizer

FRAME = np.random.default_rng(0).integers(0, 256, (60, 80, 3)).astype(np.uint8)
CLIP_L = {
    "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24,
    "num_attention_heads": 16, "image_size": 224, "patch_size": 14,
}  # fmt: skip
LLAMAS = {
    "7B": {"hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
           "num_attention_heads": 32, "vocab_size": 32004, "max_position_embeddings": 4096},
    "13B": {"hidden_size": 5120, "intermediate_size": 13824, "num_hidden_layers": 40,
            "num_attention_heads": 40, "vocab_size": 32003, "max_position_embeddings": 4096},
}  # fmt: skip


@pytest.fixture(scope="module")
def lisa(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_lisa(tmp_path_factory.mktemp("models"))


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    return {
        k: v
        for file in sorted(folder.glob("pytorch_model-*.bin"))
        for k, v in torch.load(file, weights_only=True).items()
    }


def _count(shapes: Shapes, *starts: str) -> int:
    return sum(
        int(np.prod(s))
        for k, s in shapes.items()
        if k.startswith(starts) and not k.endswith("inv_freq")
    )


@pytest.mark.parametrize(("size", "language"), [("7B", 6_738_448_384), ("13B", 13_015_895_040)])
@pytest.mark.parametrize("has_loc", [False, True])
def test_real_sizes_have_the_published_names_shapes_and_counts(
    size: str, language: int, has_loc: bool
) -> None:
    """On the meta device: LISA-7B, LISA-13B, and MoRA's pooling of either."""
    text = LLAMAS[size]
    published = lisa_shapes(text, SAM_SIZES["vit_h"], 1024)
    config = lisa_config(
        text | {"mm_hidden_size": 1024}, CLIP_L, conversation="llava_v1", has_loc=has_loc
    )
    ours = {k: tuple(v.shape) for k, v in build_empty(config).state_dict().items()}
    renamed = {lisa_key(k): s for k, s in published.items()}
    renamed |= {clip_key(k): s for k, s in clip_shapes(CLIP_L).items()}
    assert None not in renamed
    renamed.pop("")
    assert renamed == ours
    llama = _count(published, "model.embed_tokens", "model.layers", "model.norm", "lm_head")
    assert llama == language
    assert _count(published, "model.mm_projector") == 1025 * text["hidden_size"]
    assert _count(published, "model.visual_model") / 1e6 == pytest.approx(641.1, abs=0.05)
    width = text["hidden_size"]
    heads = width * width + width + 256 * width + 256
    assert _count(published, "model.text_hidden_fcs") == heads


def test_a_checkpoint_answers_frame_by_frame(lisa: Path) -> None:
    mora = Mora.from_pretrained(lisa)
    assert mora.config.pooling == "frame"
    assert mora.config.question_suffix == ""
    frames = [FRAME, FRAME[::-1].copy(), FRAME]
    clip = mora.answer(frames, [0.0, 0.1, 0.2], "Which object moves?")
    assert clip.masks.shape == (3, 60, 80)
    for t, frame in enumerate(frames):
        alone = mora.answer([frame], [0.0], "Which object moves?")
        assert np.allclose(alone.mask_logits[0], clip.mask_logits[t], atol=1e-4)


def test_every_weight_arrives(lisa: Path) -> None:
    model = Mora.from_pretrained(lisa).model
    state = model.state_dict()
    for key, value in _weights(lisa).items():
        name = lisa_key(key)
        assert name is not None
        if name:
            assert torch.equal(state[name], value), key


def test_safetensors_are_read_as_well_and_preferred(lisa: Path, tmp_path: Path) -> None:
    folder = write_lisa(tmp_path, "copy")
    weights = {k: v.contiguous() for k, v in _weights(folder).items()}
    weights["model.norm.weight"] = torch.full_like(weights["model.norm.weight"], 3.0)
    save_file(weights, folder / "model.safetensors")
    model = Mora.from_pretrained(folder).model
    assert (model.language_model.norm.weight == 3.0).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model.norm.weight": None}, r"missing: language_model\.norm\.weight"),
        ({"model.loc_head.weight": torch.zeros(2)}, r"unknown .*: model\.loc_head\.weight"),
        (
            {"model.mm_projector.bias": torch.zeros(5)},
            r"of another shape: model\.mm_projector\.bias \(5,\), expected \(24,\)",
        ),
    ],
)
def test_weights_that_do_not_fit_are_named(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    folder = write_lisa(tmp_path, "copy")
    weights = _weights(folder) | change
    write_shards(folder, {k: v for k, v in weights.items() if v is not None})
    with pytest.raises(ModelError, match=message):
        Mora.from_pretrained(folder)


def test_unknown_weights_are_the_users_decision(tmp_path: Path) -> None:
    folder = write_lisa(tmp_path, "copy")
    write_shards(folder, _weights(folder) | {"model.loc_head.weight": torch.zeros(2)})
    assert Mora.from_pretrained(folder, strict=False).config.temporal_head is False


def test_a_vocabulary_with_loc_is_pooled_in_time_and_runs_ungated(
    lisa: Path, tmp_path: Path
) -> None:
    folder = write_lisa(tmp_path, "copy")
    added = json.loads((folder / "added_tokens.json").read_text())
    (folder / "added_tokens.json").write_text(
        json.dumps(
            {("[LOC]" if k == "<im_end>" else k): v for k, v in added.items()} | {"<im_end>": 5}
        )
    )
    mora = Mora.from_pretrained(folder)
    assert mora.config.pooling == "spatiotemporal"
    answer = mora.answer([FRAME] * 2, [0.0, 0.1], "Which object moves?")
    assert (answer.frame_scores == 1).all() or not answer.objects


def test_pickles_with_more_than_weights_are_refused(tmp_path: Path) -> None:
    folder = write_lisa(tmp_path, "copy")
    torch.save({"model.norm.weight": os.getcwd}, folder / "pytorch_model-00001-of-00002.bin")
    with pytest.raises(ModelError, match="pytorch_model-00001-of-00002.bin cannot be read"):
        Mora.from_pretrained(folder)


def test_a_missing_shard_or_tower_is_named(tmp_path: Path) -> None:
    folder = write_lisa(tmp_path, "copy")
    (folder / "pytorch_model-00002-of-00002.bin").unlink()
    with pytest.raises(ModelError, match="lacks pytorch_model-00002-of-00002.bin"):
        Mora.from_pretrained(folder)
    (tmp_path / "clip").rename(tmp_path / "elsewhere")
    with pytest.raises(ModelError, match="needs its CLIP tower 'clip'.*groundmore fetch clip"):
        Mora.from_pretrained(folder)


def test_the_tower_can_be_named(lisa: Path) -> None:
    assert Mora.from_pretrained(lisa, vision_tower=str(lisa.parent / "clip")).name == "lisa"


def test_a_conversation_follows_the_name_unless_it_is_given(tmp_path: Path) -> None:
    folder = write_lisa(tmp_path, "LISA-13B-llama2-v1")
    assert Mora.from_pretrained(folder).config.conversation == "llava_llama_2"
    named = Mora.from_pretrained(folder, conversation="llava_v1")
    assert named.config.conversation == "llava_v1"


def test_a_clip_too_long_for_the_model_names_both_numbers(tmp_path: Path) -> None:
    folder = write_lisa(tmp_path, "copy")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 100}))
    with pytest.raises(BadQuestionError, match=r"take \d+ tokens .* the model has 100 positions"):
        Mora.from_pretrained(folder).answer([FRAME], [0.0], "Which object moves?")


@pytest.mark.parametrize("size", ["vit_b", "vit_l", "vit_h"])
def test_sams_own_names_are_all_known(size: str) -> None:
    assert None not in {sam_key(k) for k in sam_shapes(SAM_SIZES[size])}


def test_sams_own_checkpoint_fills_the_segmenter(lisa: Path, tmp_path: Path) -> None:
    """For training from SAM: its file comes first, and its weights win."""
    weights = random_weights(sam_shapes(TINY_SAM), 7)
    torch.save(weights, tmp_path / "sam_vit_x.pth")
    mora = Mora.from_pretrained(lisa)
    model = build_empty(mora.config)
    fill(
        model,
        [
            Source([tmp_path / "sam_vit_x.pth"], sam_key),
            Source(sorted(lisa.glob("*.bin")), lisa_key),
            Source([lisa.parent / "clip" / "pytorch_model.bin"], clip_key),
        ],
    )
    token = model.segmenter.mask_decoder.iou_token.weight
    assert torch.equal(token, weights["mask_decoder.iou_token.weight"])


def test_templates_with_words_to_choose_cannot_be_prefilled(nano: Mora) -> None:
    with pytest.raises(ModelError, match="chooses words of its answer"):
        Mora(nano.model, nano.tokenizer, reasoning="prefill")


GOLDEN = os.environ.get("GROUNDMORE_GOLDEN")


@pytest.mark.skipif(not GOLDEN, reason="GROUNDMORE_GOLDEN names no folder of LISA's own values")
@pytest.mark.parametrize("conversation", ["llava_v1", "llava_llama_2"])
def test_parity_with_lisas_own_code(conversation: str) -> None:
    """Values that LISA's code computed: ids, text, and mask logits to 1e-4."""
    folder = Path(str(GOLDEN))
    golden = np.load(folder / "lisa_tiny_golden.npz")
    mora = Mora.from_pretrained(folder / "lisa-tiny", conversation=conversation)
    tokenizer = MoraTokenizer.load(folder / "lisa-tiny")
    for q in (0, 1):
        prompt = str(golden[f"{conversation}/{q}/prompt"]).split("<im_end>\n")[1]
        question = prompt.removesuffix(" ASSISTANT:").removesuffix(" [/INST]")
        ids = tokenizer.encode(build_prompt(conversation, question))
        assert ids == golden[f"{conversation}/{q}/input_ids"][0].tolist()
        for f in (0, 1):
            answer = mora.answer([golden[f"frame/{f}"]], [0.0], question)
            assert answer.text == str(golden[f"{conversation}/{q}/{f}/gen"]).removesuffix(" </s>")
            assert np.abs(answer.mask_logits - golden[f"{conversation}/{q}/{f}/mask"]).max() < 1e-4
