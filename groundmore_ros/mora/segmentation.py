# SPDX-License-Identifier: Apache-2.0
"""SAM's parts, composed: image encoder, prompt embedding, mask decoder.

Shape legend: B frames, C channels, S side of the square picture, G = S / patch_size.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from transformers.models.sam.modeling_sam import SamPromptEncoder, SamVisionEncoder

from groundmore_ros.mora.backends.graph import Graph
from groundmore_ros.mora.configuration import MoraConfig
from groundmore_ros.mora.image_encoder import ConvImageEncoder
from groundmore_ros.mora.mask_decoder import MaskDecoder
from groundmore_ros.mora.sam_attention import attend_by_rows

__all__ = ["Segmenter"]

CPU_BATCH = 1 << 20  # values of embeddings that a CPU decodes at a time, so that caches hold them


class Segmenter(nn.Module):
    """Encodes pictures, and draws the masks that prompts ask for."""

    def __init__(self, config: MoraConfig) -> None:
        super().__init__()
        sam = config.sam_config
        # transformers chooses the attention of whole models; these are parts of one.
        sam.mask_decoder_config._attn_implementation = "sdpa"
        self.position_dtype = getattr(torch, config.position_dtype)
        self.convolutional = config.image_encoder == "conv"
        self.image_encoder: nn.Module = (
            ConvImageEncoder(config.conv_widths, sam.prompt_encoder_config.hidden_size)
            if self.convolutional
            else SamVisionEncoder(sam.vision_config)
        )
        if not self.convolutional:
            attend_by_rows(self.image_encoder)
        self.prompt_encoder = SamPromptEncoder(sam)
        self.mask_decoder = MaskDecoder(sam.mask_decoder_config)
        self.channels = int(sam.mask_decoder_config.hidden_size)
        self.side = int(sam.vision_config.image_size) // int(sam.vision_config.patch_size)
        self.graphs: dict[str, Graph] = {}  # parts that do not run in torch

    def encode(self, pixels: Tensor) -> Tensor:
        """Pictures (B, 3, S, S), normalised, to embeddings (B, C, G, G)."""
        dtype = next(self.image_encoder.parameters()).dtype
        if graph := self.graphs.get("encoder"):
            return graph.run(pixels)[0].to(dtype)
        pixels = pixels.to(dtype)
        if self.convolutional:
            embedding: Tensor = self.image_encoder(pixels)
            return embedding
        encoded: Tensor = self.image_encoder(pixels).last_hidden_state
        return encoded

    def position_code(self, points: Tensor) -> Tensor:
        """SAM's positional encoding (..., C) of points (..., 2), x and y as shares of the side.

        Computed in the precision of training: coarse precisions give a different encoding.
        """
        matrix = self.prompt_encoder.shared_embedding.positional_embedding.to(self.position_dtype)
        turns = 2 * torch.pi * ((2 * points.to(self.position_dtype) - 1) @ matrix)
        return torch.cat([turns.sin(), turns.cos()], dim=-1).to(self.dtype)

    @property
    def dtype(self) -> torch.dtype:
        """Precision of prompts and mask decoder; the image encoder may have another."""
        dtype: torch.dtype = self.mask_decoder.mask_tokens.weight.dtype
        return dtype

    def box_code(self, boxes: Tensor) -> Tensor:
        """Codes (..., 3, C) of boxes (..., 4): the centre, and the corners as SAM embeds them.

        Boxes are centre x, centre y, width and height, as shares of the side.
        """
        centre, half = boxes[..., :2], boxes[..., 2:] / 2
        codes = self.position_code(torch.stack([centre, centre - half, centre + half], dim=-2))
        _, _, first, second = self.prompt_encoder.point_embed
        kinds = torch.cat([torch.zeros_like(first.weight), first.weight, second.weight])
        return codes + kinds

    def grid_code(self, side: int) -> Tensor:
        """Positional encoding (1, C, G, G) of an embedding's cells."""
        steps = (
            torch.arange(side, device=self.mask_decoder.mask_tokens.weight.device) + 0.5
        ) / side
        y, x = torch.meshgrid(steps, steps, indexing="ij")
        return self.position_code(torch.stack([x, y], dim=-1)).permute(2, 0, 1)[None]

    def decode(
        self, embeddings: Tensor | Sequence[Tensor], prompts: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Masks that prompts (B, P, C) ask for, P tokens a frame, in embeddings: B of (C, G, G).

        Returns:
            mask logits (B, 4 G, 4 G) of the square picture, and predicted IoU (B,).
        """
        most = len(embeddings)
        if prompts.device.type == "cpu":
            most = max(1, CPU_BATCH // embeddings[0].numel())
        groups = (embeddings[i : i + most] for i in range(0, len(embeddings), most))
        stacked = (g if isinstance(g, Tensor) else torch.stack(list(g)) for g in groups)
        pairs = zip(stacked, torch.split(prompts, most), strict=True)
        if graph := self.graphs.get("decoder"):
            drawn = [graph.run(*pair) for pair in pairs]
        else:
            dense = self.prompt_encoder.no_mask_embed.weight.reshape(1, -1, 1, 1)
            places = self.mask_decoder.places(self.grid_code(embeddings[0].shape[-1])[0])
            drawn = [
                self.mask_decoder.draw(e.to(self.dtype) + dense, p.to(self.dtype), places)
                for e, p in pairs
            ]
        return torch.cat([mask for mask, _ in drawn]), torch.cat([quality for _, quality in drawn])
