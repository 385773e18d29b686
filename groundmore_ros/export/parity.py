# SPDX-License-Identifier: Apache-2.0
"""Exported files held against torch, on random inputs, for several numbers of frames."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from groundmore_ros.errors import ModelError
from groundmore_ros.mora.backends.graph import Graph
from groundmore_ros.mora.modeling import MoraForCausalLM

__all__ = ["check", "compare", "example"]

FRAMES = {"encoder": (1, 2), "decoder": (1, 2, 5)}  # large encoders take gigabytes a frame
WORST = 1e-4  # absolute, float32
LEAST_IOU = 0.98  # of masks, mixed precision


def example(model: MoraForCausalLM, part: str, frames: int, seed: int = 0) -> tuple[Tensor, ...]:
    """Random inputs of a part: pictures (T, 3, S, S), or embeddings and prompts."""
    made = torch.Generator().manual_seed(seed)
    segmenter, side = model.segmenter, model.config.image_size
    if part == "encoder":
        # Patches and some noise: pictures are smooth, and networks know no others.
        patches = torch.randn(frames, 3, 16, 16, generator=made)
        noise = torch.randn(frames, 3, side, side, generator=made)
        return (functional.interpolate(patches, (side, side), mode="bilinear") + 0.1 * noise,)
    cells = torch.randn(frames, segmenter.channels, segmenter.side, segmenter.side, generator=made)
    prompts = model.prompt_tokens
    return cells, torch.randn(frames, prompts, segmenter.channels, generator=made)


@torch.inference_mode()
def compare(model: MoraForCausalLM, part: str, plain: nn.Module, graph: Graph) -> dict[str, float]:
    """Largest difference of any output, and the least mask IoU, over all numbers of frames.

    Args:
        model: whose part it is; draws masks from an encoder's embeddings.
        part: ``encoder`` or ``decoder``.
        plain: the part in torch, float32.
        graph: the exported one.

    Raises:
        ModelError: the exported one gives NaN or infinity.
    """
    worst, least = 0.0, 1.0
    for frames in FRAMES[part]:
        inputs = tuple(x.to(model.device) for x in example(model, part, frames, seed=frames))
        truth = plain(*inputs)
        truth = truth if isinstance(truth, tuple) else (truth,)
        ours = graph.run(*inputs)
        if not all(bool(o.isfinite().all()) for o in ours):
            raise ModelError(f"gives numbers that are not finite, for {frames} frames")
        worst = max(worst, *(float((a - b).abs().max()) for a, b in zip(truth, ours, strict=True)))
        masks = [o[0] for o in (truth, ours)]
        if part == "encoder":
            prompts = example(model, "decoder", frames, seed=frames)[1].to(model.device)
            masks = [model.segmenter.decode(m, prompts)[0] for m in masks]
        least = min(least, _iou(masks[0] > 0, masks[1] > 0))
    return {"largest_difference": worst, "least_iou": least}


def _iou(a: Tensor, b: Tensor) -> float:
    either = float((a | b).sum())
    return float((a & b).sum()) / either if either else 1.0


def check(figures: dict[str, float], precision: str) -> None:
    """Hold figures against the bar of a precision.

    Raises:
        ModelError: they do not reach it.
    """
    if precision == "fp32" and not figures["largest_difference"] <= WORST:
        raise ModelError(f"differs by {figures['largest_difference']:.2g}; expected {WORST:g}")
    if not figures["least_iou"] >= LEAST_IOU:
        raise ModelError(f"mask IoU is {figures['least_iou']:.3f}; expected {LEAST_IOU}")
