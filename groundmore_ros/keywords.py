# SPDX-License-Identifier: Apache-2.0
"""The keywords of ``Mora.from_pretrained``, for those who read them from texts."""

__all__ = ["LOADING"]

LOADING = (
    "attn_implementation", "conversation", "decoder", "decoder_dtype", "device", "dtype", "encoder",
    "engines", "feature_dtype", "provider", "quantization", "reasoning", "strict", "target",
    "vision_tower",
)  # fmt: skip
