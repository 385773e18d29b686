# SPDX-License-Identifier: Apache-2.0
"""What a model takes: parameters and bytes of its parts, and the memory that a clip needs."""

from typing import NamedTuple

import torch

from groundmore_ros.mora.checkpoint import build_empty
from groundmore_ros.mora.configuration import MoraConfig
from groundmore_ros.mora.generation import BATCH
from groundmore_ros.mora.loading import LoadOptions, is_quantised
from groundmore_ros.mora.objects import GEOMETRY, ObjectQueries

__all__ = ["Part", "Sizes", "measure"]

# Bytes a weight: 4 bits and a float32 scale for each 64; 8 bits and a scale for each row.
QUANTISED_BYTES = {"4bit": 0.5 + 4 / 64, "8bit": 1.0}
PROMPT_TOKENS = 160  # a long question within its conversation


class Part(NamedTuple):
    """One part of a model."""

    name: str
    parameters: int
    bytes: int


class Sizes(NamedTuple):
    """A model's needs, bytes unless they say otherwise.

    Attributes:
        parts: weights by part.
        frame: features of one frame, kept while it may be asked about.
        clip: features of a clip.
        cache: keys and values while a question about a clip is answered.
        masks: mask logits of one object through a clip.
    """

    parts: list[Part]
    frame: int
    clip: int
    cache: int
    masks: int

    @property
    def weights(self) -> int:
        """Bytes of all weights."""
        return sum(p.bytes for p in self.parts)

    @property
    def total(self) -> int:
        """Weights, a clip and a question about it; what single layers need comes on top."""
        return self.weights + self.clip + self.cache + self.masks


def measure(
    config: MoraConfig,
    options: LoadOptions,
    *,
    clip_frames: int = 16,
    height: int = 720,
    width: int = 1280,
) -> Sizes:
    """Add up a model's needs from its configuration alone.

    Args:
        config: the model's.
        options: precision and quantisation; ``auto`` counts as bfloat16 for the language model and
            float32 for SAM, as LISA's files hold them, unless the model is small.
        clip_frames: frames of a clip.
        height: of a frame, pixels.
        width: of a frame, pixels.
    """
    model = build_empty(config)
    parts = []
    for name, part in model.named_children():
        if name == "lm_head" and config.tie_word_embeddings:
            continue
        sizes = [
            (p.numel(), _bytes_of(f"{name}.{key}", p, config, options))
            for key, p in part.named_parameters()
        ]
        parts.append(Part(name, sum(n for n, _ in sizes), int(sum(b for _, b in sizes))))
    frame = _frame_bytes(config, options)
    sequences = min(clip_frames, BATCH) if config.pooling == "frame" else 1
    visual = config.patches + (0 if config.pooling == "frame" else clip_frames)
    visual += config.object_queries * config.summary_tokens
    text = config.text_config
    per_token = 2 * text.num_hidden_layers * text.num_key_value_heads * text.head_dim
    tokens = sequences * (visual + PROMPT_TOKENS + config.max_new_tokens)
    return Sizes(
        parts=parts,
        frame=frame,
        clip=clip_frames * frame,
        cache=tokens * per_token * _width(config, options, "language_model.").itemsize,
        masks=clip_frames * 4 * (config.image_size**2 + height * width),
    )


def _width(config: MoraConfig, options: LoadOptions, name: str) -> torch.dtype:
    stored = torch.float32
    if config.position_dtype == "bfloat16" and not name.startswith("segmenter."):
        stored = torch.bfloat16
    return options.dtype_of(name, stored)


def _bytes_of(name: str, weight: torch.Tensor, config: MoraConfig, options: LoadOptions) -> float:
    if options.quantization and weight.dim() == 2 and is_quantised(name):
        return weight.numel() * QUANTISED_BYTES[options.quantization]
    return weight.numel() * _width(config, options, name).itemsize


def _frame_bytes(config: MoraConfig, options: LoadOptions) -> int:
    channels = config.sam_config.prompt_encoder_config.hidden_size
    grid = config.image_size // config.sam_config.vision_config.patch_size
    patches = config.patches * config.vision_config.hidden_size
    embedding = channels * grid * grid
    coarse = _width(config, options, "segmenter.image_encoder.").itemsize
    objects = config.object_queries * (config.object_dim + ObjectQueries.IDENTITY + 1 + GEOMETRY)
    return (
        patches * _width(config, options, "vision_tower.").itemsize
        + embedding * coarse
        + objects * coarse
    )
