# SPDX-License-Identifier: Apache-2.0
"""How models are loaded: attention, few bits, and SAM's weights held against SAM's own code."""

import importlib.util
import inspect
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from lisa_layout import write_lisa

from groundmore_ros.errors import MissingDependencyError, ModelError
from groundmore_ros.keywords import LOADING
from groundmore_ros.mora import Mora, MoraConfig, Status
from groundmore_ros.mora.conversion import convert, convert_sam
from groundmore_ros.mora.loading import LoadOptions
from groundmore_ros.mora.segmentation import Segmenter
from groundmore_ros.simulation import generate


def _installed(monkeypatch: pytest.MonkeyPatch, *packages: str) -> None:
    """Whatever is asked for: these packages are there, and no others."""
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda n: SimpleNamespace() if n in packages else None
    )


@pytest.mark.parametrize(
    ("device", "dtype", "packages", "attention"),
    [
        ("cuda", "bfloat16", ["flash_attn"], "flash_attention_2"),
        ("cuda:1", "float16", ["flash_attn"], "flash_attention_2"),
        ("cuda", "float32", ["flash_attn"], "sdpa"),
        ("cuda", "bfloat16", [], "sdpa"),
        ("cpu", "bfloat16", ["flash_attn"], "sdpa"),
    ],
)
def test_flash_attention_where_it_can_run(
    device: str, dtype: str, packages: list[str], attention: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _installed(monkeypatch, *packages)
    assert LoadOptions(device=device, dtype=dtype).attention == attention


def test_flash_attention_that_cannot_run_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    _installed(monkeypatch)
    with pytest.raises(ModelError, match="flash_attention_2 needs a GPU; the device is cpu"):
        _ = LoadOptions(attn_implementation="flash_attention_2").attention
    with pytest.raises(MissingDependencyError, match="pip install flash-attn"):
        _ = LoadOptions(attn_implementation="flash_attention_2", device="cuda").attention


def test_the_attention_that_is_asked_for_is_the_one_that_runs() -> None:
    for attention in ("eager", "sdpa"):
        model = Mora.from_pretrained("mora-nano", attn_implementation=attention).model
        assert model.language_model.config._attn_implementation == attention


def test_few_bits_without_their_package(monkeypatch: pytest.MonkeyPatch) -> None:
    _installed(monkeypatch)
    with pytest.raises(MissingDependencyError, match=r"pip install 'groundmore\[gpu\]'"):
        Mora.from_pretrained("mora-nano", quantization="4bit")


def test_few_bits_want_our_layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _installed(monkeypatch, "bitsandbytes")
    with pytest.raises(ModelError, match="groundmore convert it, then quantise"):
        Mora.from_pretrained(write_lisa(tmp_path), quantization="4bit")


@pytest.mark.parametrize(("bits", "layer"), [("4bit", "Linear4bit"), ("8bit", "Linear8bitLt")])
def test_the_language_model_alone_gets_few_bits(bits: str, layer: str) -> None:
    pytest.importorskip("bitsandbytes")
    mora = Mora.from_pretrained("mora-nano", quantization=bits, dtype="float32")
    kinds = {n: type(m).__name__ for n, m in mora.model.named_modules()}
    few = {n for n, kind in kinds.items() if kind == layer}
    assert few
    assert all(n.startswith("language_model.layers.") for n in few)
    assert kinds["lm_head"] == "Linear"
    episode = generate(1_000_303)
    answer = mora.answer(list(episode.frames), episode.stamps.tolist(), "The orange ball")
    assert answer.status is Status.OK


def test_few_bits_of_a_converted_lisa(tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes")
    convert(write_lisa(tmp_path), tmp_path / "ours", LoadOptions())
    mora = Mora.from_pretrained(tmp_path / "ours", quantization="8bit", dtype="float32")
    frame = np.zeros((40, 60, 3), np.uint8)
    assert np.isfinite(mora.answer([frame], [0.0], "What moves?").mask_logits).all()


@torch.inference_mode()
def test_sam_does_as_its_authors_code_does(tmp_path: Path) -> None:
    """SAM ViT-B with random weights, saved by segment_anything, in ours."""
    segment_anything = pytest.importorskip("segment_anything")
    from safetensors.torch import load_file

    torch.manual_seed(0)
    theirs = segment_anything.sam_model_registry["vit_b"]().eval()
    torch.save(theirs.state_dict(), tmp_path / "sam_vit_b_random.pth")
    convert_sam(tmp_path / "sam_vit_b_random.pth", tmp_path / "ours")
    ours = Segmenter(MoraConfig()).eval()
    weights = load_file(tmp_path / "ours" / "segmenter.safetensors")
    ours.load_state_dict({k.removeprefix("segmenter."): v for k, v in weights.items()})
    picture, prompt = torch.randn(1, 3, 1024, 1024), torch.randn(1, 1, 256)
    embedding = theirs.image_encoder(picture)
    assert (ours.encode(picture) - embedding).abs().max() < 1e-4
    masks, quality = theirs.mask_decoder(
        image_embeddings=embedding,
        image_pe=theirs.prompt_encoder.get_dense_pe(),
        sparse_prompt_embeddings=prompt,
        dense_prompt_embeddings=theirs.prompt_encoder.no_mask_embed.weight.reshape(
            1, -1, 1, 1
        ).expand(1, -1, 64, 64),
        multimask_output=False,
    )
    mask, iou = ours.decode(embedding, prompt)
    assert (mask - masks[:, 0]).abs().max() < 1e-4
    assert (iou - quality[:, 0]).abs().max() < 1e-4


def test_the_list_of_keywords_is_that_of_the_code() -> None:
    own = inspect.signature(Mora.from_pretrained).parameters
    options = {field.name for field in fields(LoadOptions)}
    assert set(LOADING) == options | set(own) - {"name", "options"}
