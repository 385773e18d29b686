# SPDX-License-Identifier: Apache-2.0
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from lisa_layout import TINY_SAM, random_weights, sam_shapes, write_lisa
from safetensors.torch import load_file

from groundmore_ros.errors import ModelError
from groundmore_ros.mora import Mora
from groundmore_ros.mora.conversion import convert, convert_sam
from groundmore_ros.mora.loading import LoadOptions

FRAME = np.random.default_rng(0).integers(0, 256, (60, 80, 3)).astype(np.uint8)


def test_a_converted_model_gives_the_same_answers_without_its_tower(tmp_path: Path) -> None:
    source, out = write_lisa(tmp_path / "models"), tmp_path / "out"
    before = Mora.from_pretrained(source).answer([FRAME], [0.0], "Which object moves?")
    convert(source, out, LoadOptions(), piece_bytes=2_000_000)
    (tmp_path / "models" / "clip").rename(tmp_path / "gone")
    assert len(list(out.glob("model-*-of-*.safetensors"))) > 2
    after = Mora.from_pretrained(out).answer([FRAME], [0.0], "Which object moves?")
    assert after.text == before.text
    assert np.array_equal(after.mask_logits, before.mask_logits)


def test_converting_again_changes_nothing_and_leaves_no_old_files(tmp_path: Path) -> None:
    source, one, two = write_lisa(tmp_path / "m"), tmp_path / "one", tmp_path / "two"
    convert(source, one, LoadOptions(), piece_bytes=2_000_000)
    convert(one, two, LoadOptions())
    assert [p.name for p in two.glob("*.safetensors*")] == ["model.safetensors"]
    convert(source, one, LoadOptions())
    assert [p.name for p in one.glob("*.safetensors*")] == ["model.safetensors"]
    first, second = (load_file(f / "model.safetensors") for f in (one, two))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[k], second[k]) for k in first)


def test_precision_is_changed_but_for_the_mask_decoder(tmp_path: Path) -> None:
    convert(write_lisa(tmp_path / "m"), tmp_path / "out", LoadOptions(dtype="float16"))
    weights = load_file(tmp_path / "out" / "model.safetensors")
    assert weights["language_model.norm.weight"].dtype == torch.float16
    assert weights["segmenter.mask_decoder.iou_token.weight"].dtype == torch.float32


def test_a_lost_weight_is_named(tmp_path: Path) -> None:
    source = write_lisa(tmp_path / "m")
    index = source / "pytorch_model.bin.index.json"
    first = "pytorch_model-00001-of-00002.bin"
    weights = torch.load(source / first, weights_only=True)
    weights.pop("model.embed_tokens.weight")
    torch.save(weights, source / first)
    assert first in json.loads(index.read_text())["weight_map"].values()
    with pytest.raises(ModelError, match=r"lacks language_model\.embed_tokens\.weight"):
        convert(source, tmp_path / "out", LoadOptions())


def test_sams_own_checkpoints_become_segmenters(tmp_path: Path) -> None:
    weights = random_weights(sam_shapes(TINY_SAM), 3)
    torch.save(weights, tmp_path / "sam_vit_x.pth")
    convert_sam(tmp_path / "sam_vit_x.pth", tmp_path / "out")
    ours = load_file(tmp_path / "out" / "segmenter.safetensors")
    assert len(ours) == len(weights)
    key = "segmenter.mask_decoder.upscale_conv1.weight"
    assert torch.equal(ours[key], weights["mask_decoder.output_upscaling.0.weight"])
    torch.save({"other": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(ModelError, match="holds other, which is no part of SAM"):
        convert_sam(tmp_path / "other.pth", tmp_path / "out")
