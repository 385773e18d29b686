# SPDX-License-Identifier: Apache-2.0
"""Checkpoints rewritten as safetensors in our layout, a piece at a time."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from groundmore_ros.errors import ModelError
from groundmore_ros.mora.checkpoint import build_empty, read_tensors, release
from groundmore_ros.mora.lisa import sam_key
from groundmore_ros.mora.loading import LoadOptions, describe

__all__ = ["convert", "convert_sam"]

PIECE_BYTES = 900_000_000  # of a written file, at most but for one tensor


def convert(
    folder: Path,
    out: Path,
    options: LoadOptions,
    on_file: Callable[[Path], None] = lambda path: None,
    piece_bytes: int = PIECE_BYTES,
) -> None:
    """Rewrite a model, its tower included; memory holds one written file at a time.

    Args:
        folder: a model in LISA's layout, or in ours.
        out: is created; what it holds of the same names is replaced.
        options: vision tower, conversation, precision, and whether unknown weights are left out.
        on_file: told each file that has been written.
        piece_bytes: how large these get.

    Raises:
        ModelError: weights are missing, unknown or of another shape.
    """
    found = describe(folder, options)
    wanted = {k: tuple(v.shape) for k, v in build_empty(found.config).state_dict().items()}
    if found.config.tie_word_embeddings:
        wanted.pop("lm_head.weight")

    def renamed() -> Iterator[tuple[str, Tensor]]:
        done: set[str] = set()
        for source in found.sources:
            for path in source.files:
                for key, tensor in read_tensors(path):
                    name = source.rename(key)
                    if name == "" or name in done or (name is None and not options.strict):
                        continue
                    if name is None or wanted.get(name) != tuple(tensor.shape):
                        raise ModelError(
                            f"{path.name} holds {key} {tuple(tensor.shape)}; expected "
                            f"{wanted.get(name or '', 'no such weight')}"
                        )
                    done.add(name)
                    yield name, tensor.to(options.dtype_of(name, tensor.dtype))
                    release(tensor, path)
        missing = sorted(wanted.keys() - done)
        if missing:
            raise ModelError(f"{folder} lacks {', '.join(missing[:12])}")

    out.mkdir(parents=True, exist_ok=True)
    _write(renamed(), out, piece_bytes, on_file)
    found.config.architectures = ["MoraForCausalLM"]
    found.config.save_pretrained(out)
    found.tokenizer.save(out)


def convert_sam(file: Path, out: Path) -> None:
    """Rewrite a checkpoint of SAM's authors as the ``segmenter`` part of our models.

    Raises:
        ModelError: it holds something else.
    """
    weights = {}
    for key, tensor in read_tensors(file):
        name = sam_key(key)
        if name is None:
            raise ModelError(f"{file} holds {key}, which is no part of SAM")
        weights[name] = tensor.clone()
    out.mkdir(parents=True, exist_ok=True)
    save_file(weights, out / "segmenter.safetensors", {"format": "pt"})


def _write(
    tensors: Iterator[tuple[str, Tensor]],
    out: Path,
    piece_bytes: int,
    on_file: Callable[[Path], None],
) -> None:
    """Files of limited size and their index; one file alone needs none."""
    pieces: list[list[str]] = []
    held: dict[str, Tensor] = {}
    total = 0

    def flush() -> None:
        path = out / f"piece-{len(pieces)}.part"
        save_file(held, path, {"format": "pt"})
        pieces.append(list(held))
        held.clear()
        on_file(path)

    for name, tensor in tensors:
        if held and sum(t.nbytes for t in held.values()) + tensor.nbytes > piece_bytes:
            flush()
        # A copy of its own: views and memory that several names share cannot be saved.
        held[name] = tensor.detach().clone(memory_format=torch.contiguous_format)
        total += tensor.nbytes
    flush()
    _publish(out, pieces, total)


def _publish(out: Path, pieces: list[list[str]], total: int) -> None:
    """Give the files their names, which tell how many there are."""
    for old in (*out.glob("model*.safetensors"), *out.glob("model.safetensors.index.json")):
        old.unlink()
    index: dict[str, str] = {}
    for i, names in enumerate(pieces):
        count = len(pieces)
        file = (
            "model.safetensors" if count == 1 else f"model-{i + 1:05d}-of-{count:05d}.safetensors"
        )
        (out / f"piece-{i}.part").replace(out / file)
        index |= dict.fromkeys(names, file)
    if len(pieces) > 1:
        text = json.dumps({"metadata": {"total_size": total}, "weight_map": index}, indent=1)
        (out / "model.safetensors.index.json").write_text(text)
