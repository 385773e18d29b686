# SPDX-License-Identifier: Apache-2.0
"""Which weights a fine-tuning trains: low-rank adapters of the language model, and whole parts.

LoRA: Hu et al. (ICLR 2022), through peft. Nothing that was loaded is initialised again; what is
added (adapters, a vocabulary's new rows, a new [LOC] head) is all that starts anew.
"""

from typing import Any

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from groundmore_ros.errors import GroundmoreError
from groundmore_ros.mora.checkpoint import build_empty, compute_buffers
from groundmore_ros.mora.configuration import MoraConfig
from groundmore_ros.mora.modeling import MoraForCausalLM, TemporalHead
from groundmore_ros.mora.tokenization import MoraTokenizer

__all__ = ["adapt", "extended", "merged", "trained_weights"]


def adapt(model: MoraForCausalLM, lora: dict[str, Any] | None, parts: list[str]) -> None:
    """Freeze a model, but for adapters and the named parts.

    Args:
        model: is changed.
        lora: ``r``, ``alpha``, ``dropout`` and ``targets`` (names of linear layers of the language
            model); None: no adapters.
        parts: weights whose names hold one of these are trained whole.

    Raises:
        GroundmoreError: a part that the model does not have.
    """
    model.requires_grad_(False)
    if lora:
        config = LoraConfig(
            r=lora["r"],
            lora_alpha=lora["alpha"],
            lora_dropout=lora["dropout"],
            target_modules=list(lora["targets"]),
        )
        inject_adapter_in_model(config, model.language_model)
    names = [n for n, _ in model.named_parameters()]
    for part in parts:
        if not any(part in n for n in names):
            raise GroundmoreError(f"the model has no weights named {part!r} to train")
    for name, weight in model.named_parameters():
        if any(part in name for part in parts):
            weight.requires_grad_(True)
        if weight.requires_grad:
            # Small steps are lost in coarse numbers, and a mapped file is not to be written to.
            weight.data = weight.data.float().clone()


def extended(
    model: MoraForCausalLM, tokenizer: MoraTokenizer, changes: dict[str, Any]
) -> MoraForCausalLM:
    """A model under a changed configuration; what it did not have before starts anew.

    Args:
        model: loaded.
        tokenizer: gets the tokens that the configuration names, where it lacks them.
        changes: of the configuration, such as ``temporal_head`` or ``pooling``.
    """
    config = MoraConfig(**model.config.to_dict() | changes)
    wanted = [config.seg_token, *([config.loc_token] if config.temporal_head else [])]
    for token in wanted:
        if tokenizer.find(token) is None:
            tokenizer.add(token)
    config.text_config.vocab_size = max(len(tokenizer), model.config.text_config.vocab_size)
    changed = build_empty(config)
    state = dict(model.state_dict())
    for name in ("language_model.embed_tokens.weight", "lm_head.weight"):
        state[name] = _with_rows(state[name], config.text_config.vocab_size)
    if config.temporal_head and not model.config.temporal_head:
        head = TemporalHead(config.text_config.hidden_size, config.temporal_hidden)
        state |= {f"temporal_head.{k}": v for k, v in head.state_dict().items()}
    if not config.temporal_head:
        state = {k: v for k, v in state.items() if not k.startswith("temporal_head.")}
    missing, unexpected = changed.load_state_dict(state, strict=False, assign=True)
    if missing or unexpected:
        names = ", ".join([*missing, *unexpected][:8])
        raise GroundmoreError(f"the changed configuration does not fit the model: {names}")
    compute_buffers(changed, str(model.lm_head.weight.device))
    if config.tie_word_embeddings:
        changed.tie_weights()
    return changed


def _with_rows(table: Tensor, rows: int) -> Tensor:
    """A table of words with new rows, each the mean of the old ones."""
    new = table.mean(0, keepdim=True).expand(rows - len(table), -1)
    return torch.cat([table, new.to(table.dtype)])


def trained_weights(module: nn.Module) -> dict[str, Tensor]:
    """What a checkpoint has to hold: the weights that are trained."""
    return {n: p.detach() for n, p in module.named_parameters() if p.requires_grad}


@torch.no_grad()
def merged(model: MoraForCausalLM) -> MoraForCausalLM:
    """Adapters added to the layers they adapt, which then stand in their places."""
    for name, layer in list(model.named_modules()):
        if isinstance(layer, LoraLayer):
            layer.merge()  # type: ignore[attr-defined]
            owner, _, leaf = name.rpartition(".")
            setattr(model.get_submodule(owner), leaf, layer.get_base_layer())
    return model
