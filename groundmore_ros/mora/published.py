# SPDX-License-Identifier: Apache-2.0
"""Published models by what is known of them, so that their needs can be told before a download."""

from typing import Any

from groundmore_ros.errors import ModelError
from groundmore_ros.mora.configuration import MoraConfig
from groundmore_ros.mora.lisa import lisa_config
from groundmore_ros.mora.loading import LoadOptions, describe
from groundmore_ros.mora.zoo import resolve_model

__all__ = ["PUBLISHED", "find_config", "published_config"]

_CLIP_L: dict[str, Any] = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "image_size": 224,
    "patch_size": 14,
    "projection_dim": 768,
}
_LLAMA_7B: dict[str, Any] = {
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "max_position_embeddings": 4096,
    "mm_hidden_size": 1024,
    "torch_dtype": "bfloat16",
}
_LLAMA_13B: dict[str, Any] = _LLAMA_7B | {
    "hidden_size": 5120,
    "intermediate_size": 13824,
    "num_hidden_layers": 40,
    "num_attention_heads": 40,
}
# Name: configuration, conversation, whether the vocabulary has [LOC].
PUBLISHED: dict[str, tuple[dict[str, Any], str, bool]] = {
    "xinlai/LISA-7B-v1": (_LLAMA_7B | {"vocab_size": 32004}, "llava_v1", False),
    "xinlai/LISA-7B-v1-explanatory": (_LLAMA_7B | {"vocab_size": 32004}, "llava_v1", False),
    "xinlai/LISA-13B-llama2-v1": (_LLAMA_13B | {"vocab_size": 32003}, "llava_llama_2", False),
    "xinlai/LISA-13B-llama2-v1-explanatory": (
        _LLAMA_13B | {"vocab_size": 32003},
        "llava_llama_2",
        False,
    ),
    "groundmore/mora-ft-lisa7b": (_LLAMA_7B | {"vocab_size": 32005}, "llava_v1", True),
}


def published_config(name: str) -> MoraConfig | None:
    """The configuration of a published model, or None where it is not known."""
    if name not in PUBLISHED:
        return None
    config, conversation, has_loc = PUBLISHED[name]
    return lisa_config(config, _CLIP_L, conversation=conversation, has_loc=has_loc)


def find_config(name: str, options: LoadOptions) -> MoraConfig:
    """The configuration of a model on this machine, or of a published one.

    Raises:
        ModelError: it is neither.
    """
    try:
        folder = resolve_model(name)
    except ModelError as error:
        known = published_config(name)
        if known is None:
            raise ModelError(f"{error}; published models: {', '.join(PUBLISHED)}") from error
        return known
    return describe(folder, options).config
