# SPDX-License-Identifier: Apache-2.0
"""LISA's layout of checkpoints: its configuration and its names, in terms of ours.

LISA: Lai et al., "LISA: Reasoning Segmentation via Large Language Model" (CVPR 2024). Its files
hold a LLaVA language model and a whole SAM; the CLIP tower lies apart. SAM's own checkpoints
(``sam_vit_*.pth``) use the same names for SAM's part.
"""

import re
from collections.abc import Callable
from typing import Any

from transformers import CLIPVisionConfig, LlamaConfig, SamConfig

from groundmore_ros.errors import ModelError
from groundmore_ros.mora.configuration import MoraConfig

__all__ = ["SAM_SIZES", "clip_key", "is_lisa", "lisa_config", "lisa_key", "sam_config", "sam_key"]

# Published SAM image encoders: width, depth, heads, and the layers that see the whole picture.
SAM_SIZES: dict[str, dict[str, Any]] = {
    "vit_b": {
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "global_attn_indexes": [2, 5, 8, 11],
    },
    "vit_l": {
        "hidden_size": 1024,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "global_attn_indexes": [5, 11, 17, 23],
    },
    "vit_h": {
        "hidden_size": 1280,
        "num_hidden_layers": 32,
        "num_attention_heads": 16,
        "global_attn_indexes": [7, 15, 23, 31],
    },
}
SAM_GEOMETRY = {"image_size": 1024, "patch_size": 16, "window_size": 14, "output_channels": 256}

_LLAMA = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "max_position_embeddings",
    "rms_norm_eps",
    "hidden_act",
    "initializer_range",
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
)

# What SAM's authors call a part, and what transformers calls it.
_SAM_NAMES: tuple[tuple[str, str], ...] = (
    (r"^image_encoder\.patch_embed\.proj\.", "image_encoder.patch_embed.projection."),
    (r"^image_encoder\.blocks\.(\d+)\.norm([12])\.", r"image_encoder.layers.\1.layer_norm\2."),
    (r"^image_encoder\.blocks\.", "image_encoder.layers."),
    (r"^image_encoder\.neck\.0\.", "image_encoder.neck.conv1."),
    (r"^image_encoder\.neck\.1\.", "image_encoder.neck.layer_norm1."),
    (r"^image_encoder\.neck\.2\.", "image_encoder.neck.conv2."),
    (r"^image_encoder\.neck\.3\.", "image_encoder.neck.layer_norm2."),
    (
        r"^prompt_encoder\.pe_layer\.positional_encoding_gaussian_matrix$",
        "prompt_encoder.shared_embedding.positional_embedding",
    ),
    (r"^prompt_encoder\.point_embeddings\.", "prompt_encoder.point_embed."),
    (r"^prompt_encoder\.mask_downscaling\.0\.", "prompt_encoder.mask_embed.conv1."),
    (r"^prompt_encoder\.mask_downscaling\.1\.", "prompt_encoder.mask_embed.layer_norm1."),
    (r"^prompt_encoder\.mask_downscaling\.3\.", "prompt_encoder.mask_embed.conv2."),
    (r"^prompt_encoder\.mask_downscaling\.4\.", "prompt_encoder.mask_embed.layer_norm2."),
    (r"^prompt_encoder\.mask_downscaling\.6\.", "prompt_encoder.mask_embed.conv3."),
    (
        r"^mask_decoder\.transformer\.layers\.(\d+)\.norm(\d)\.",
        r"mask_decoder.transformer.layers.\1.layer_norm\2.",
    ),
    (
        r"^mask_decoder\.transformer\.norm_final_attn\.",
        "mask_decoder.transformer.layer_norm_final_attn.",
    ),
    (r"^mask_decoder\.output_upscaling\.0\.", "mask_decoder.upscale_conv1."),
    (r"^mask_decoder\.output_upscaling\.1\.", "mask_decoder.upscale_layer_norm."),
    (r"^mask_decoder\.output_upscaling\.3\.", "mask_decoder.upscale_conv2."),
    (
        r"^(mask_decoder\.(?:output_hypernetworks_mlps\.\d+|iou_prediction_head))\.layers\.0\.",
        r"\1.proj_in.",
    ),
    (
        r"^(mask_decoder\.(?:output_hypernetworks_mlps\.\d+|iou_prediction_head))\.layers\.1\.",
        r"\1.layers.0.",
    ),
    (
        r"^(mask_decoder\.(?:output_hypernetworks_mlps\.\d+|iou_prediction_head))\.layers\.2\.",
        r"\1.proj_out.",
    ),
)
_SAM_PARTS = ("image_encoder.", "prompt_encoder.", "mask_decoder.")
# Computed anew, or of no use: nothing is lost with them.
_IGNORED = re.compile(
    r"rotary_emb\.inv_freq$|position_ids$|^text_model\.|^text_projection\.|^visual_projection\."
    r"|^logit_scale$"
)


def is_lisa(config: dict[str, Any]) -> bool:
    """Whether a ``config.json`` is of LISA's layout: LLaVA's keys, not ours."""
    return config.get("model_type") != "mora" and "mm_hidden_size" in config


def lisa_config(
    config: dict[str, Any], tower: dict[str, Any], *, conversation: str, has_loc: bool
) -> MoraConfig:
    """Our configuration of a LISA checkpoint.

    Args:
        config: its ``config.json``; ``sam_vision`` is read where SAM is not ViT-H.
        tower: the ``config.json`` of the CLIP model, whole or its vision part.
        conversation: the prompt's template, which no configuration tells.
        has_loc: whether its vocabulary has [LOC]; the head itself is unknown, so it runs ungated.

    Raises:
        ModelError: something that LISA's layout requires is missing.
    """
    missing = [k for k in (*_LLAMA[:5], "mm_hidden_size") if k not in config]
    if missing:
        raise ModelError(f"config.json lacks {', '.join(missing)}, which LISA's layout requires")
    vision = tower.get("vision_config", tower)
    if vision.get("hidden_size") != config["mm_hidden_size"]:
        raise ModelError(
            f"the vision tower is {vision.get('hidden_size')} wide; the checkpoint expects "
            f"{config['mm_hidden_size']}: give the one that it was trained with as vision_tower"
        )
    text = {k: config[k] for k in _LLAMA if config.get(k) is not None}
    return MoraConfig(
        text_config=LlamaConfig(**text),
        vision_config=CLIPVisionConfig(**vision),
        sam_config=sam_config(config.get("sam_vision", SAM_SIZES["vit_h"])),
        pooling="spatiotemporal" if has_loc else "frame",
        projector="linear",
        clip_crop="center",
        select_layer=int(config.get("mm_vision_select_layer", -2)),
        conversation=conversation,
        question_suffix=MoraConfig().question_suffix if has_loc else "",
        answer_template="It is [SEG]." if not has_loc else MoraConfig().answer_template,
        temporal_head=False,
        position_dtype=str(config.get("torch_dtype", "float32")),
    )


def sam_config(vision: dict[str, Any]) -> SamConfig:
    """SAM with an image encoder of given width, depth and heads."""
    return SamConfig(vision_config=SAM_GEOMETRY | vision)


def sam_key(key: str) -> str | None:
    """Our name of a weight of SAM's authors; None where there is none."""
    if not key.startswith(_SAM_PARTS):
        return None
    for pattern, ours in _SAM_NAMES:
        renamed, hits = re.subn(pattern, ours, key)
        if hits:
            return f"segmenter.{renamed}"
    return f"segmenter.{key}"


def clip_key(key: str) -> str | None:
    """Our name of a weight of a CLIP model; "" for what is not needed, None for the unknown."""
    if _IGNORED.search(key):
        return ""
    match = re.match(r"^(?:vision_tower\.)?(?:vision_model\.)(.+)$", key)
    return f"vision_tower.{match[1]}" if match else None


def lisa_key(key: str) -> str | None:
    """Our name of a weight of LISA's; "" for what is not needed, None for the unknown."""
    if _IGNORED.search(key):
        return ""
    if key == "lm_head.weight":
        return key
    for theirs, rename in _LISA_PARTS:
        if key.startswith(theirs):
            return rename(key.removeprefix(theirs))
    return None


_LISA_PARTS: tuple[tuple[str, Callable[[str], str | None]], ...] = (
    ("model.embed_tokens.", "language_model.embed_tokens.{}".format),
    ("model.layers.", "language_model.layers.{}".format),
    ("model.norm.", "language_model.norm.{}".format),
    ("model.mm_projector.", "projector.{}".format),
    ("model.text_hidden_fcs.", "text_hidden_fcs.{}".format),
    ("model.visual_model.", sam_key),
    ("model.vision_tower.", clip_key),
)
