# SPDX-License-Identifier: Apache-2.0
"""Checkpoints in LISA's published layout: names and shapes at any size, and tiny ones to load."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sentencepiece
import torch

Shapes = dict[str, tuple[int, ...]]

TINY_TEXT: dict[str, Any] = {
    "hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 2,
    "vocab_size": 0, "max_position_embeddings": 1024,
}  # fmt: skip
TINY_SAM = {
    "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "global_attn_indexes": [1],
}  # fmt: skip
TINY_CLIP: dict[str, Any] = {
    "model_type": "clip_vision_model", "hidden_size": 16, "intermediate_size": 24,
    "num_hidden_layers": 3, "num_attention_heads": 2, "image_size": 28, "patch_size": 14,
    "projection_dim": 8,
}  # fmt: skip


def _linear(name: str, out: int, into: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", (out, into)
    yield f"{name}.bias", (out,)


def _norm(name: str, width: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", (width,)
    yield f"{name}.bias", (width,)


def llama_shapes(text: dict[str, int]) -> Shapes:
    """Names and shapes of the language model, as published."""
    width, inner, words = text["hidden_size"], text["intermediate_size"], text["vocab_size"]
    shapes: Shapes = {"model.embed_tokens.weight": (words, width)}
    for i in range(text["num_hidden_layers"]):
        layer = f"model.layers.{i}"
        for part in "qkvo":
            shapes[f"{layer}.self_attn.{part}_proj.weight"] = (width, width)
        head = width // text["num_attention_heads"]
        shapes[f"{layer}.self_attn.rotary_emb.inv_freq"] = (head // 2,)
        for part in ("gate", "up"):
            shapes[f"{layer}.mlp.{part}_proj.weight"] = (inner, width)
        shapes[f"{layer}.mlp.down_proj.weight"] = (width, inner)
        for part in ("input", "post_attention"):
            shapes[f"{layer}.{part}_layernorm.weight"] = (width,)
    return shapes | {"model.norm.weight": (width,), "lm_head.weight": (words, width)}


def sam_shapes(vision: dict[str, Any]) -> Shapes:
    """Names and shapes of SAM as its authors publish it."""
    width, heads = vision["hidden_size"], vision["num_attention_heads"]
    shapes: Shapes = {
        "image_encoder.pos_embed": (1, 64, 64, width),
        "image_encoder.patch_embed.proj.weight": (width, 3, 16, 16),
        "image_encoder.patch_embed.proj.bias": (width,),
    }
    for i in range(vision["num_hidden_layers"]):
        block = f"image_encoder.blocks.{i}"
        span = 127 if i in vision["global_attn_indexes"] else 27
        shapes |= dict(_norm(f"{block}.norm1", width)) | dict(_norm(f"{block}.norm2", width))
        for side in "hw":
            shapes[f"{block}.attn.rel_pos_{side}"] = (span, width // heads)
        shapes |= dict(_linear(f"{block}.attn.qkv", 3 * width, width))
        shapes |= dict(_linear(f"{block}.attn.proj", width, width))
        shapes |= dict(_linear(f"{block}.mlp.lin1", 4 * width, width))
        shapes |= dict(_linear(f"{block}.mlp.lin2", width, 4 * width))
    shapes["image_encoder.neck.0.weight"] = (256, width, 1, 1)
    shapes["image_encoder.neck.2.weight"] = (256, 256, 3, 3)
    shapes |= dict(_norm("image_encoder.neck.1", 256)) | dict(_norm("image_encoder.neck.3", 256))
    return shapes | _prompt_encoder() | _mask_decoder()


def _prompt_encoder() -> Shapes:
    part = "prompt_encoder"
    shapes: Shapes = {f"{part}.pe_layer.positional_encoding_gaussian_matrix": (2, 128)}
    for i in range(4):
        shapes[f"{part}.point_embeddings.{i}.weight"] = (1, 256)
    for name in ("not_a_point_embed", "no_mask_embed"):
        shapes[f"{part}.{name}.weight"] = (1, 256)
    down = f"{part}.mask_downscaling"
    for i, out, into, size in ((0, 4, 1, 2), (3, 16, 4, 2), (6, 256, 16, 1)):
        shapes[f"{down}.{i}.weight"], shapes[f"{down}.{i}.bias"] = (out, into, size, size), (out,)
    return shapes | dict(_norm(f"{down}.1", 4)) | dict(_norm(f"{down}.4", 16))


def _mask_decoder() -> Shapes:
    shapes: Shapes = {
        "mask_decoder.iou_token.weight": (1, 256),
        "mask_decoder.mask_tokens.weight": (4, 256),
        "mask_decoder.output_upscaling.0.weight": (256, 64, 2, 2),
        "mask_decoder.output_upscaling.0.bias": (64,),
        "mask_decoder.output_upscaling.3.weight": (64, 32, 2, 2),
        "mask_decoder.output_upscaling.3.bias": (32,),
    }
    shapes |= dict(_norm("mask_decoder.output_upscaling.1", 64))
    transformer = "mask_decoder.transformer"
    for i in range(2):
        layer = f"{transformer}.layers.{i}"
        for attention, inner in (
            ("self_attn", 256),
            ("cross_attn_token_to_image", 128),
            ("cross_attn_image_to_token", 128),
        ):
            shapes |= _attention(f"{layer}.{attention}", inner)
        for n in range(1, 5):
            shapes |= dict(_norm(f"{layer}.norm{n}", 256))
        shapes |= dict(_linear(f"{layer}.mlp.lin1", 2048, 256))
        shapes |= dict(_linear(f"{layer}.mlp.lin2", 256, 2048))
    shapes |= _attention(f"{transformer}.final_attn_token_to_image", 128)
    shapes |= dict(_norm(f"{transformer}.norm_final_attn", 256))
    for i in range(4):
        shapes |= _three_layers(f"mask_decoder.output_hypernetworks_mlps.{i}", 32)
    return shapes | _three_layers("mask_decoder.iou_prediction_head", 4)


def _attention(name: str, inner: int) -> Shapes:
    shapes: Shapes = {}
    for part in "qkv":
        shapes |= dict(_linear(f"{name}.{part}_proj", inner, 256))
    return shapes | dict(_linear(f"{name}.out_proj", 256, inner))


def _three_layers(name: str, out: int) -> Shapes:
    shapes: Shapes = {}
    for i, width in enumerate((256, 256, out)):
        shapes |= dict(_linear(f"{name}.layers.{i}", width, 256))
    return shapes


def lisa_shapes(text: dict[str, int], sam: dict[str, Any], clip_width: int) -> Shapes:
    """All names and shapes of a LISA checkpoint, as published."""
    width = text["hidden_size"]
    shapes = llama_shapes(text) | {f"model.visual_model.{k}": v for k, v in sam_shapes(sam).items()}
    shapes |= dict(_linear("model.mm_projector", width, clip_width))
    shapes |= dict(_linear("model.text_hidden_fcs.0.0", width, width))
    return shapes | dict(_linear("model.text_hidden_fcs.0.2", 256, width))


def clip_shapes(vision: dict[str, Any]) -> Shapes:
    """Names and shapes of a CLIP vision tower, as published."""
    width, inner = vision["hidden_size"], vision["intermediate_size"]
    patches = (vision["image_size"] // vision["patch_size"]) ** 2
    base = "vision_model"
    shapes: Shapes = {
        f"{base}.embeddings.class_embedding": (width,),
        f"{base}.embeddings.position_ids": (1, patches + 1),
        f"{base}.embeddings.patch_embedding.weight": (width, 3, *[vision["patch_size"]] * 2),
        f"{base}.embeddings.position_embedding.weight": (patches + 1, width),
    }
    for i in range(vision["num_hidden_layers"]):
        layer = f"{base}.encoder.layers.{i}"
        for part in ("q", "k", "v", "out"):
            shapes |= dict(_linear(f"{layer}.self_attn.{part}_proj", width, width))
        shapes |= dict(_linear(f"{layer}.mlp.fc1", inner, width))
        shapes |= dict(_linear(f"{layer}.mlp.fc2", width, inner))
        for n in (1, 2):
            shapes |= dict(_norm(f"{layer}.layer_norm{n}", width))
    for name in ("pre_layrnorm", "post_layernorm"):
        shapes |= dict(_norm(f"{base}.{name}", width))
    return shapes


def random_weights(shapes: Shapes, seed: int) -> dict[str, torch.Tensor]:
    """Small random weights; where a norm's would be, about one."""
    generator = torch.Generator().manual_seed(seed)
    weights = {}
    for name, shape in shapes.items():
        values = torch.randn(shape, generator=generator) * 0.1
        weights[name] = values + 1 if "norm" in name and name.endswith("weight") else values
    return weights


def write_tokenizer(
    folder: Path, added: tuple[str, ...] = ("[SEG]", "<im_start>", "<im_end>")
) -> int:
    """A sentencepiece model of a few sentences, with added tokens; gives the vocabulary's size."""
    text = folder / "text.txt"
    words = "Which object moves first after the ball hits the box and what falls over then\n"
    text.write_text((words + words.lower()) * 20)
    sentencepiece.SentencePieceTrainer.train(
        input=str(text), model_prefix=str(folder / "tokenizer"), vocab_size=320, model_type="bpe",
        byte_fallback=True, hard_vocab_limit=False, minloglevel=2,
    )  # fmt: skip
    text.unlink()
    size = len(sentencepiece.SentencePieceProcessor(str(folder / "tokenizer.model")))
    ids = {token: size + i for i, token in enumerate(added)}
    (folder / "added_tokens.json").write_text(json.dumps(ids))
    return size + len(added)


def write_lisa(root: Path, name: str = "lisa") -> Path:
    """A tiny LISA checkpoint in two shards of pickles, its CLIP tower in a folder beside it."""
    folder, tower = root / name, root / "clip"
    folder.mkdir(parents=True)
    tower.mkdir(exist_ok=True)
    (tower / "config.json").write_text(json.dumps(TINY_CLIP))
    torch.save(random_weights(clip_shapes(TINY_CLIP), 1), tower / "pytorch_model.bin")
    text = TINY_TEXT | {"vocab_size": write_tokenizer(folder)}
    config = text | {
        "model_type": "llava", "mm_hidden_size": TINY_CLIP["hidden_size"],
        "mm_vision_select_layer": -2, "vision_tower": "clip", "sam_vision": TINY_SAM,
        "num_key_value_heads": text["num_attention_heads"], "rms_norm_eps": 1e-5,
        "hidden_act": "silu",
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    weights = random_weights(lisa_shapes(text, TINY_SAM, TINY_CLIP["hidden_size"]), 0)
    write_shards(folder, weights)
    return folder


def write_shards(folder: Path, weights: dict[str, torch.Tensor]) -> None:
    """Two files and their index, as the hub has them."""
    names = list(weights)
    halves = {1: names[: len(names) // 2], 2: names[len(names) // 2 :]}
    index: dict[str, str] = {}
    for i, half in halves.items():
        file = f"pytorch_model-{i:05d}-of-00002.bin"
        torch.save({k: weights[k] for k in half}, folder / file)
        index |= dict.fromkeys(half, file)
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": index}))
