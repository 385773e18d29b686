# SPDX-License-Identifier: Apache-2.0
"""Exported parts against torch, with the same threads, in one run."""

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers.models.sam.modeling_sam import SamVisionEncoder

from groundmore_ros.export.graphs import graph_of
from groundmore_ros.export.onnx_file import write_onnx
from groundmore_ros.export.parity import example
from groundmore_ros.measuring import in_turns
from groundmore_ros.mora.assistant import Mora
from groundmore_ros.mora.backends.graph import DECODER, ENCODER, Graph, Part
from groundmore_ros.mora.backends.onnx import OnnxGraph
from groundmore_ros.mora.bench import settled
from groundmore_ros.mora.configuration import MoraConfig
from groundmore_ros.mora.loading import LoadOptions
from groundmore_ros.mora.modeling import MoraForCausalLM
from groundmore_ros.mora.plain import plain_masks
from groundmore_ros.mora.published_bench import random_model

__all__ = ["bench_decoder", "bench_encoder"]

# SAM's own decoder: 256 channels on 64 x 64 cells. The encoder in front of it is left small.
_SMALL = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
          "global_attn_indexes": [1], "output_channels": 256}  # fmt: skip
_TEXT = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1,
         "num_attention_heads": 1, "vocab_size": 8}  # fmt: skip
_CLIP = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1,
         "num_attention_heads": 1, "image_size": 28, "patch_size": 14}  # fmt: skip


def bench_decoder(
    model: str | None, frames: int, repeats: int, device: str = "cpu"
) -> list[dict[str, Any]]:
    """Masks of T frames at once: transformers' decoder, ours, and ONNX Runtime.

    Args:
        model: whose decoder; None: one of SAM's size with random weights.
        frames: T.
        repeats: of each way.
        device: where all of them run, in float32.
    """
    network = _network(model, device)
    segmenter = network.segmenter
    cells, prompts = (x.to(network.device) for x in example(network, "decoder", frames))
    ways: dict[str, Callable[[], Any]] = {
        "torch eager, batched": lambda: plain_masks(segmenter, cells, prompts),
        "torch, as it runs here": lambda: segmenter.decode(cells, prompts)[0],
    }
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        graph = _exported(network, DECODER, Path(folder))
        ways["ONNX Runtime, batched"] = lambda: graph.run(cells, prompts)[0]
        return _rows(ways, repeats, network.device)


def bench_encoder(model: str | None, repeats: int, device: str = "cpu") -> list[dict[str, Any]]:
    """The embedding of one frame: torch eager, ours (where it differs), and ONNX Runtime.

    Args:
        model: whose encoder; None: a small one of SAM's kind at its size, with random weights.
        repeats: of each way.
        device: where all of them run, in float32.
    """
    network = _network(model, device)
    segmenter = network.segmenter
    pixels = example(network, "encoder", 1)[0].to(network.device)
    ways: dict[str, Callable[[], Any]] = {}
    if segmenter.convolutional:
        ways["torch eager"] = lambda: segmenter.encode(pixels)
    else:
        plain = SamVisionEncoder(network.config.sam_config.vision_config).to(network.device).eval()
        plain.load_state_dict(segmenter.image_encoder.state_dict())
        ways["torch eager"] = lambda: plain(pixels).last_hidden_state
        ways["torch, as it runs here"] = lambda: segmenter.encode(pixels)
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        graph = _exported(network, ENCODER, Path(folder))
        ways["ONNX Runtime"] = lambda: graph.run(pixels)[0]
        return _rows(ways, repeats, network.device)


def _rows(
    ways: dict[str, Callable[[], Any]], repeats: int, device: torch.device
) -> list[dict[str, Any]]:
    rows, results = in_turns(ways, repeats, settle=partial(settled, device))
    first = next(iter(results.values()))
    return [row | {"difference": float((results[row["way"]] - first).abs().max())} for row in rows]


def _network(model: str | None, device: str) -> MoraForCausalLM:
    if model is not None:
        return Mora.from_pretrained(model, dtype="float32", device=device).model
    config = MoraConfig(_TEXT, _CLIP, {"vision_config": _SMALL}, temporal_head=False)
    return random_model(config, LoadOptions(device=device))


def _exported(network: MoraForCausalLM, part: Part, folder: Path) -> Graph:
    graph = graph_of(network.segmenter, part)
    path = folder / f"{part.stem}.onnx"
    with torch.inference_mode(mode=False):
        inputs = tuple(x.to(network.device) for x in example(network, part.name, 2))
        write_onnx(graph, inputs, part, path, 18)
    return OnnxGraph(path, part, str(network.device))
