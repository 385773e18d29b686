# SPDX-License-Identifier: Apache-2.0
"""Weights from files into a model, one tensor at a time.

A model is built without memory for its weights; each tensor then goes from its file straight to its
device and precision. Safetensors are preferred; pickles are read with ``weights_only``.
"""

import ctypes
import gc
import json
import mmap
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

from groundmore_ros.errors import ModelError
from groundmore_ros.mora.configuration import MoraConfig
from groundmore_ros.mora.modeling import MoraForCausalLM

__all__ = [
    "Source",
    "build_empty",
    "compute_buffers",
    "fill",
    "read_tensors",
    "release",
    "weight_files",
]

INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
SINGLES = ("model.safetensors", "pytorch_model.bin")
SHOWN = 12  # names listed in an error


class Source(NamedTuple):
    """Files of weights, and how their names become ours ("" not needed, None unknown)."""

    files: list[Path]
    rename: Callable[[str], str | None]


def weight_files(folder: Path) -> list[Path]:
    """The files of a model's weights, safetensors where there are both kinds.

    Raises:
        ModelError: there are none, or one that the index names is missing.
    """
    for index, single in zip(INDEXES, SINGLES, strict=True):
        if (folder / index).is_file():
            names = sorted(set(json.loads((folder / index).read_text())["weight_map"].values()))
            missing = [n for n in names if not (folder / n).is_file()]
            if missing:
                raise ModelError(f"{folder} lacks {', '.join(missing)}, which {index} names")
            return [folder / n for n in names]
        if (folder / single).is_file():
            return [folder / single]
    raise ModelError(f"{folder} holds no weights; expected {' or '.join(SINGLES)}, or an index")


def read_tensors(path: Path) -> Iterator[tuple[str, Tensor]]:
    """Names and tensors of a file, read as they are asked for.

    Raises:
        ModelError: it is damaged, or a pickle that holds more than weights.
    """
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, framework="pt") as file:
                for key in file.keys():  # noqa: SIM118 - no mapping
                    yield key, file.get_tensor(key)
            return
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=_is_mapped(path))
    except (OSError, RuntimeError, SafetensorError, pickle.UnpicklingError, EOFError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(f"{path} cannot be read: {reason}") from error
    if not isinstance(state, dict):
        raise ModelError(f"{path} holds a {type(state).__name__}; expected names and tensors")
    for key in list(state):
        value = state.pop(key)
        if isinstance(value, Tensor):
            yield str(key), value


def _is_mapped(path: Path) -> bool:
    """Whether a file's tensors are read where they lie: all but pickles of an old torch."""
    if path.suffix == ".safetensors":
        return True
    with path.open("rb") as file:
        return file.read(2) == b"PK"


def build_empty(config: MoraConfig) -> MoraForCausalLM:
    """A model whose weights take no memory yet; what is computed and not stored is there."""
    with torch.device("meta"):
        return MoraForCausalLM(config)


def fill(
    model: MoraForCausalLM,
    sources: list[Source],
    *,
    device: str = "cpu",
    dtype_of: Callable[[str, torch.dtype], torch.dtype] = lambda name, stored: stored,
    strict: bool = True,
) -> None:
    """Read a model's weights.

    Args:
        model: from :func:`build_empty`.
        sources: where they come from; a name found twice is taken from the first.
        device: where they go.
        dtype_of: the precision of a weight, from its name and the precision it is stored in.
        strict: whether unknown weights are refused; missing ones and other shapes always are, but
            for what ``strict=False`` lets the caller do without.

    Raises:
        ModelError: names of weights that are missing, unknown or of another shape.
    """
    tied = {"lm_head.weight"} if model.config.tie_word_embeddings else set()
    wanted = {n: t for n, t in model.state_dict().items() if n not in tied}
    unknown: list[str] = []
    shapes: list[str] = []
    filled: set[str] = set()
    for source in sources:
        for path in source.files:
            for key, tensor in read_tensors(path):
                name = source.rename(key)
                if name == "" or name in filled or name in tied:
                    continue
                if name is None or name not in wanted:
                    unknown.append(key)
                elif wanted[name].shape != tensor.shape:
                    shapes.append(
                        f"{key} {tuple(tensor.shape)}, expected {tuple(wanted[name].shape)}"
                    )
                else:
                    dtype = dtype_of(name, tensor.dtype)
                    _assign(model, name, tensor, device, dtype, path)
                    filled.add(name)
            gc.collect()  # lets go of the file's memory map
    _complain(sorted(wanted.keys() - filled), unknown if strict else [], shapes)
    compute_buffers(model, device)
    if tied:
        model.tie_weights()


def _complain(missing: list[str], unknown: list[str], shapes: list[str]) -> None:
    problems = [
        f"{what}: {', '.join(names[:SHOWN])}"
        + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
        for what, names in (
            ("missing", missing),
            ("unknown (strict=False goes on without)", unknown),
            ("of another shape", shapes),
        )
        if names
    ]
    if problems:
        raise ModelError("weights do not fit the model. " + ". ".join(problems))


def _assign(
    model: nn.Module, name: str, stored: Tensor, device: str, dtype: torch.dtype, file: Path
) -> None:
    """Put a tensor into its place; on the CPU and in its stored precision the file is mapped."""
    at, _, leaf = name.rpartition(".")
    owner = model.get_submodule(at)
    value = stored if stored.dtype == dtype and device == "cpu" else stored.to(device, dtype)
    if value is not stored:
        release(stored, file)
    if leaf in owner._buffers:
        owner._buffers[leaf] = value
    else:
        setattr(owner, leaf, nn.Parameter(value, requires_grad=False))


def release(tensor: Tensor, file: Path) -> None:
    """Let go of the pages of a tensor that was copied from a file; they can be read again."""
    if not _is_mapped(file) or not hasattr(mmap, "MADV_DONTNEED"):
        return  # memory of its own, which would be lost
    page = mmap.PAGESIZE
    first = -(-tensor.data_ptr() // page) * page
    length = (tensor.data_ptr() + tensor.nbytes) // page * page - first
    if length > 0:
        ctypes.CDLL(None).madvise(
            ctypes.c_void_p(first), ctypes.c_size_t(length), mmap.MADV_DONTNEED
        )


def compute_buffers(model: MoraForCausalLM, device: str) -> None:
    """What modules compute when they are made, and ``meta`` had no memory for."""
    rotary = LlamaRotaryEmbedding(model.config.text_config)
    model.language_model.rotary_emb = rotary.to(device)
    embeddings = model.vision_tower.embeddings
    embeddings.position_ids = torch.arange(embeddings.num_positions, device=device)[None]
    left = [n for n, b in model.named_buffers() if b.is_meta]
    if left:
        raise ModelError(f"buffers that are not stored: {', '.join(left)}")
