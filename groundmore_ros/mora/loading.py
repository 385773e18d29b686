# SPDX-License-Identifier: Apache-2.0
"""Models from folders, in our layout or in LISA's."""

import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers.utils import logging

from groundmore_ros.errors import MissingDependencyError, ModelError
from groundmore_ros.mora.checkpoint import Source, build_empty, fill, weight_files
from groundmore_ros.mora.configuration import MoraConfig
from groundmore_ros.mora.lisa import clip_key, is_lisa, lisa_config, lisa_key
from groundmore_ros.mora.modeling import MoraForCausalLM
from groundmore_ros.mora.tokenization import MoraTokenizer
from groundmore_ros.mora.zoo import resolve_model

__all__ = ["DTYPES", "Description", "LoadOptions", "describe", "is_quantised", "load"]

DTYPES = {
    "auto": None,
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}
QUANTIZATIONS = ("4bit", "8bit")
ATTENTIONS = ("auto", "eager", "sdpa", "flash_attention_2")
# The mask decoder is small and loses most by coarse numbers.
_FINE = ("segmenter.mask_decoder.", "segmenter.prompt_encoder.")
# Parts that are never quantised: what draws, points and tells the time.
_UNQUANTISED = (
    "segmenter",
    "text_hidden_fcs",
    "temporal_head",
    "object_queries",
    "object_reasoner",
    "projector",
    "vision_tower",
    "lm_head",
)


@dataclass(frozen=True, kw_only=True)
class LoadOptions:
    """How a model is loaded.

    Attributes:
        device: as torch names it; ``auto`` takes a GPU where there is one.
        dtype: ``auto`` (as stored), ``float32``, ``bfloat16`` or ``float16``.
        decoder_dtype: likewise for SAM's mask decoder.
        vision_tower: folder, name or hub id of the CLIP tower of a model in LISA's layout; by
            default the one that its configuration names.
        conversation: the prompt's template, ``llava_v1`` or ``llava_llama_2``; by default the
            configuration's, and for LISA's layout the latter where the name has "llama2" in it.
        quantization: ``4bit``, ``8bit`` or none, of the language model.
        attn_implementation: ``auto``, ``eager``, ``sdpa`` or ``flash_attention_2``.
        strict: whether weights that the model has no place for are refused.
    """

    device: str = "cpu"
    dtype: str = "auto"
    decoder_dtype: str = "float32"
    vision_tower: str | None = None
    conversation: str | None = None
    quantization: str | None = None
    attn_implementation: str = "auto"
    strict: bool = True

    def __post_init__(self) -> None:
        """Reject what there is not.

        Raises:
            ModelError: a value that is none of those above.
        """
        for name, value, allowed in (
            ("dtype", self.dtype, DTYPES),
            ("decoder_dtype", self.decoder_dtype, DTYPES),
            ("quantization", self.quantization, (None, *QUANTIZATIONS)),
            ("attn_implementation", self.attn_implementation, ATTENTIONS),
        ):
            if value not in allowed:
                choices = ", ".join(str(a) for a in allowed)
                raise ModelError(f"{name} is {value!r}; expected one of {choices}")

    @property
    def place(self) -> str:
        """The device itself."""
        if self.device == "auto":
            return "cuda" if torch.cuda.is_available() else "cpu"
        return self.device

    @property
    def attention(self) -> str:
        """Flash attention where it can run, else torch's own.

        Raises:
            MissingDependencyError: it was asked for and is not installed.
            ModelError: it was asked for on a device that has none.
        """
        installed = importlib.util.find_spec("flash_attn") is not None
        on_gpu = self.place.startswith("cuda")
        if self.attn_implementation == "auto":
            half = self.dtype in ("bfloat16", "float16")
            return "flash_attention_2" if installed and on_gpu and half else "sdpa"
        if self.attn_implementation == "flash_attention_2":
            if not on_gpu:
                raise ModelError(f"flash_attention_2 needs a GPU; the device is {self.place}")
            if not installed:
                raise MissingDependencyError(
                    "flash_attn is missing: pip install flash-attn --no-build-isolation"
                )
        return self.attn_implementation

    def dtype_of(self, name: str, stored: torch.dtype) -> torch.dtype:
        """The precision that a weight is kept in."""
        if not stored.is_floating_point:
            return stored
        wanted = DTYPES[self.decoder_dtype if name.startswith(_FINE) else self.dtype]
        return wanted or stored


@dataclass(frozen=True)
class Description:
    """What a folder holds: a configuration in our terms, and where its weights are."""

    config: MoraConfig
    tokenizer: MoraTokenizer
    sources: list[Source]


def describe(folder: Path, options: LoadOptions) -> Description:
    """Read a model's configuration and vocabulary, not its weights.

    Raises:
        ModelError: it is damaged or incomplete.
    """
    try:
        raw: dict[str, Any] = json.loads((folder / "config.json").read_text())
    except (OSError, ValueError) as error:
        raise ModelError(f"{folder / 'config.json'} cannot be read: {error}") from error
    if not is_lisa(raw):
        if raw.get("model_type") != MoraConfig.model_type:
            raise ModelError(
                f"{folder} is a {raw.get('model_type')!r} model; expected 'mora', or LISA's layout"
            )
        config = MoraConfig.from_pretrained(folder)
        if options.conversation:
            config = MoraConfig(**config.to_dict() | {"conversation": options.conversation})
        files = weight_files(folder)
        return Description(config, MoraTokenizer.load(folder), [Source(files, lambda key: key)])
    tokenizer = MoraTokenizer.load(folder)
    tower = _tower(folder, raw, options.vision_tower)
    conversation = options.conversation or (
        "llava_llama_2" if "llama2" in str(folder).lower() else "llava_v1"
    )
    config = lisa_config(
        raw,
        json.loads((tower / "config.json").read_text()),
        conversation=conversation,
        has_loc=tokenizer.find("[LOC]") is not None,
    )
    sources = [Source(weight_files(folder), lisa_key), Source(weight_files(tower), clip_key)]
    return Description(config, tokenizer, sources)


def _tower(folder: Path, raw: dict[str, Any], given: str | None) -> Path:
    """Where the CLIP tower is: given, beside the model, or in the hub's cache."""
    name = given or str(raw.get("vision_tower") or raw.get("mm_vision_tower") or "")
    if not given:
        for near in (folder / name, folder.parent / name):
            if name and (near / "config.json").is_file():
                return near
    try:
        return resolve_model(name)
    except ModelError as error:
        raise ModelError(
            f"{folder} needs its CLIP tower {name!r}, which is not on this machine: "
            f"groundmore fetch {name}, or name its folder as vision_tower"
        ) from error


def load(folder: Path, options: LoadOptions) -> tuple[MoraForCausalLM, MoraTokenizer]:
    """Load a model, each weight straight to its device and precision.

    Raises:
        ModelError: it is damaged, incomplete, or does not fit together.
        MissingDependencyError: an option needs a package that is not installed.
    """
    found = describe(folder, options)
    for part in (found.config.text_config, found.config.vision_config):
        part._attn_implementation = options.attention
    if options.quantization:
        return _quantised(folder, options), found.tokenizer
    model = build_empty(found.config)
    fill(
        model,
        found.sources,
        device=options.place,
        dtype_of=options.dtype_of,
        strict=options.strict,
    )
    return model, found.tokenizer


def is_quantised(name: str) -> bool:
    """Whether a weight is of the part that quantisation is for: the language model's layers."""
    return not name.startswith(_UNQUANTISED) and ".embed_tokens." not in name


def _quantised(folder: Path, options: LoadOptions) -> MoraForCausalLM:
    """The language model in 4 or 8 bits, by bitsandbytes; the rest as it is."""
    if importlib.util.find_spec("bitsandbytes") is None:
        raise MissingDependencyError("bitsandbytes is missing: pip install 'groundmore[gpu]'")
    if is_lisa(json.loads((folder / "config.json").read_text())):
        raise ModelError(f"{folder} is in LISA's layout; groundmore convert it, then quantise")
    from transformers import BitsAndBytesConfig

    four = options.quantization == "4bit"
    logging.disable_progress_bar()
    model: MoraForCausalLM = MoraForCausalLM.from_pretrained(
        folder,
        dtype=DTYPES[options.dtype] or torch.bfloat16,
        device_map={"": options.place},
        quantization_config=BitsAndBytesConfig(
            load_in_4bit=four,
            load_in_8bit=not four,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_compute_dtype=DTYPES[options.dtype] or torch.bfloat16,
            llm_int8_skip_modules=list(_UNQUANTISED),
        ),
    )
    model.segmenter.mask_decoder.to(DTYPES[options.decoder_dtype] or torch.float32)
    model.segmenter.prompt_encoder.to(DTYPES[options.decoder_dtype] or torch.float32)
    return model
