# SPDX-License-Identifier: Apache-2.0
"""SAM's two parts as exporters see them: tensors in, tensors out, everything else constant.

Shape legend: T frames, C channels, G side of SAM's grid, P prompt tokens, S side of the picture.
"""

import copy

import torch
from torch import Tensor, nn

from groundmore_ros.mora.backends.graph import DECODER, Part
from groundmore_ros.mora.mask_decoder import CellPlaces
from groundmore_ros.mora.segmentation import Segmenter

__all__ = ["DecoderGraph", "EncoderGraph", "graph_of", "in_mixed_precision"]


class DecoderGraph(nn.Module):
    """T frames with their own prompts to T masks; no loop, no resize, no choice."""

    def __init__(self, segmenter: Segmenter, side: int) -> None:
        """Take over the weights for grids of ``side`` cells."""
        super().__init__()
        self.decoder = copy.deepcopy(segmenter.mask_decoder).eval()
        with torch.no_grad():
            places = self.decoder.places(segmenter.grid_code(side)[0])
        self.keys, self.queries = (
            nn.ParameterList([nn.Parameter(p, requires_grad=False) for p in group])
            for group in places
        )
        dense = segmenter.prompt_encoder.no_mask_embed.weight.detach().clone()
        self.dense = nn.Parameter(dense.reshape(1, -1, 1, 1), requires_grad=False)

    def forward(self, image_embeddings: Tensor, text_embeds: Tensor) -> tuple[Tensor, Tensor]:
        """Embeddings (T, C, G, G) and prompts (T, P, C) to masks (T, 4G, 4G) and IoU (T,)."""
        dtype = self.dense.dtype
        masks, iou = self.decoder.draw(
            image_embeddings.to(dtype) + self.dense,
            text_embeds.to(dtype),
            CellPlaces(list(self.keys), list(self.queries)),
        )
        return masks.float(), iou.float()


class EncoderGraph(nn.Module):
    """Pictures to embeddings."""

    def __init__(self, segmenter: Segmenter) -> None:
        super().__init__()
        self.encoder = copy.deepcopy(segmenter.image_encoder).eval()
        self.convolutional = segmenter.convolutional

    def forward(self, pixels: Tensor) -> Tensor:
        """Normalised pictures (T, 3, S, S) to embeddings (T, C, G, G)."""
        pixels = pixels.to(next(self.encoder.parameters()).dtype)
        encoded = self.encoder(pixels)
        embedding: Tensor = encoded if self.convolutional else encoded.last_hidden_state
        return embedding.float()


def graph_of(segmenter: Segmenter, part: Part) -> nn.Module:
    """A part of a model's SAM, ready to be exported."""
    if part is DECODER:
        return DecoderGraph(segmenter, segmenter.side)
    return EncoderGraph(segmenter)


class _FineNorm(nn.Module):
    """A normalisation in float32 among layers in float16."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.norm = norm.float()

    def forward(self, x: Tensor) -> Tensor:
        """Any shape that the normalisation takes."""
        out: Tensor = self.norm(x.float())
        return out.to(x.dtype)


def in_mixed_precision(graph: nn.Module) -> nn.Module:
    """The same graph in float16, normalisations in float32: those overflow and lose most."""
    graph.half()
    for module in list(graph.modules()):
        for name, child in list(module.named_children()):
            if not isinstance(child, nn.LayerNorm):
                continue
            if name == "upscale_layer_norm":  # the decoder uses its weights, in their precision
                child.float()
            else:
                setattr(module, name, _FineNorm(child))
    return graph
