# SPDX-License-Identifier: Apache-2.0
"""The model: configuration, network, preparation of inputs, answers."""

from typing import TYPE_CHECKING, Any

from groundmore_ros.mora.answer import Answer, AnsweredObject, Status

if TYPE_CHECKING:
    from groundmore_ros.mora.assistant import EncodedFrame, Mora
    from groundmore_ros.mora.configuration import MoraConfig
    from groundmore_ros.mora.modeling import MoraForCausalLM

__all__ = [
    "Answer",
    "AnsweredObject",
    "EncodedFrame",
    "Mora",
    "MoraConfig",
    "MoraForCausalLM",
    "Status",
]

# torch and transformers take seconds to import: only those who load a model wait for them.
_LAZY = {
    "EncodedFrame": "assistant",
    "Mora": "assistant",
    "MoraConfig": "configuration",
    "MoraForCausalLM": "modeling",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
