# SPDX-License-Identifier: Apache-2.0
"""SAM's mask decoder for one mask a frame, without the work that only several masks need.

The weights and the result are those of transformers' ``SamMaskDecoder`` with
``multimask_output=False`` (Kirillov et al., "Segment Anything", ICCV 2023). What differs: channels
stay last from the first layer to the mask, so nothing is transposed between layers; the projections
of the cells' positions are computed once for all frames; between few tokens and many cells, the
tokens are projected forth and back instead of the cells; only the mask that is asked for is drawn.
Shape legend: B frames, C channels, G side of the grid of cells, N = G * G cells, P prompt tokens, Q
all tokens, D the width inside cross-attention, h heads of width d.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional
from transformers.models.sam.modeling_sam import SamAttention, SamMaskDecoder

__all__ = ["CellPlaces", "MaskDecoder"]


class CellPlaces(NamedTuple):
    """What the cells' positions add to each cross-attention, its bias included, each (G * G, D)."""

    keys: list[Tensor]  # tokens look at cells: each layer, then the last look
    queries: list[Tensor]  # cells look at tokens: each layer


class MaskDecoder(SamMaskDecoder):
    """A drop-in for transformers' decoder, with the same weights."""

    def places(self, grid: Tensor) -> CellPlaces:
        """Project the positional encoding (C, G, G) of the cells for every layer."""
        cells = grid.flatten(1).T  # (G * G, C)
        layers, last = self.transformer.layers, self.transformer.final_attn_token_to_image
        looks = [layer.cross_attn_token_to_image for layer in layers]
        return CellPlaces(
            [attention.k_proj(cells) for attention in (*looks, last)],
            [layer.cross_attn_image_to_token.q_proj(cells) for layer in layers],
        )

    def draw(
        self, embeddings: Tensor, prompts: Tensor, places: CellPlaces
    ) -> tuple[Tensor, Tensor]:
        """The mask that each frame's prompts ask for.

        Args:
            embeddings: (B, C, G, G), the embedding of the mask prompt added.
            prompts: (B, P, C).
            places: from :meth:`places`.

        Returns:
            mask logits (B, 4 G, 4 G) and predicted IoU (B,).
        """
        own = torch.cat([self.iou_token.weight, self.mask_tokens.weight])
        tokens = torch.cat([own.expand(prompts.shape[0], -1, -1), prompts], dim=1)  # (B, Q, C)
        cells = embeddings.flatten(2).transpose(1, 2).contiguous()  # (B, G * G, C)
        tokens, cells = self._attend(tokens, cells, places)
        look = self.output_hypernetworks_mlps[0](tokens[:, 1])  # (B, C / 8)
        mask = self._enlarge(cells, look, embeddings.shape[-1])
        return mask, self.iou_prediction_head(tokens[:, 0])[:, 0]

    def _attend(self, tokens: Tensor, cells: Tensor, places: CellPlaces) -> tuple[Tensor, Tensor]:
        """The two-way transformer: tokens (B, Q, C) and cells (B, G * G, C) look at each other."""
        x = tokens
        for i, layer in enumerate(self.transformer.layers):
            if layer.skip_first_layer_pe:
                x = _mix(layer.self_attn, x, x, x)
            else:
                placed = x + tokens
                x = x + _mix(layer.self_attn, placed, placed, x)
            x = layer.layer_norm1(x)
            look = layer.cross_attn_token_to_image
            x = layer.layer_norm2(x + _look(look, x + tokens, cells, places.keys[i]))
            x = layer.layer_norm3(x + layer.mlp(x))
            told = _hear(layer.cross_attn_image_to_token, cells, places.queries[i], x + tokens, x)
            cells = layer.layer_norm4(cells + told)
        last = self.transformer.final_attn_token_to_image
        seen = _look(last, x + tokens, cells, places.keys[-1])
        return self.transformer.layer_norm_final_attn(x + seen), cells

    def _enlarge(self, cells: Tensor, look: Tensor, side: int) -> Tensor:
        """Cells (B, G * G, C) enlarged twice, and what looks like (B, C / 8) in them.

        A transposed convolution whose stride is its size is a product for each cell, so each cell's
        4 x 4 pixels stay together until the mask is put in order.
        """
        x = _quarters(cells, self.upscale_conv1)  # (B, G * G, 4, C / 4)
        norm = self.upscale_layer_norm  # perhaps finer than the rest: it is what overflows first
        fine = x.to(norm.weight.dtype)
        fine = functional.layer_norm(fine, norm.normalized_shape, norm.weight, norm.bias, norm.eps)
        x = _quarters(self.activation(fine).to(x.dtype), self.upscale_conv2)
        # (B, G * G, 4, 4, C / 8)
        mask = self.activation(x).flatten(1, 3) @ look[:, :, None]  # (B, 16 G * G, 1)
        pixels = mask.view(-1, side, side, 2, 2, 2, 2).permute(0, 1, 3, 5, 2, 4, 6)
        return pixels.reshape(-1, 4 * side, 4 * side)


def _mix(attention: SamAttention, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attention (B, Q, C) among tokens."""
    return _attention(
        attention, attention.q_proj(query), attention.k_proj(key), attention.v_proj(value)
    )


def _look(attention: SamAttention, tokens: Tensor, cells: Tensor, places: Tensor) -> Tensor:
    """What tokens (B, Q, C) see in cells (B, N, C)."""
    query = attention.q_proj(tokens)
    if not _few(attention, tokens):
        key = functional.linear(cells, attention.k_proj.weight) + places
        return _attention(attention, query, key, attention.v_proj(cells))
    query = _heads(attention, query)  # (B, h, Q, d)
    scores = _scores(attention, query, attention.k_proj.weight, cells, places)
    shares = scores.softmax(-1, dtype=torch.float32).to(cells.dtype)
    seen = (shares.flatten(1, 2) @ cells).view(*query.shape[:3], -1)  # (B, h, Q, C)
    seen = seen @ _heads(attention, attention.v_proj.weight.T)
    bias = attention.v_proj.bias.view(1, query.shape[1], 1, -1)  # shares add up to one
    out: Tensor = attention.out_proj((seen + bias).transpose(1, 2).flatten(2))
    return out


def _hear(
    attention: SamAttention, cells: Tensor, places: Tensor, placed: Tensor, tokens: Tensor
) -> Tensor:
    """What cells (B, N, C) are told by tokens (B, Q, C), with and without their places."""
    key, value = attention.k_proj(placed), attention.v_proj(tokens)
    if not _few(attention, tokens):
        query = functional.linear(cells, attention.q_proj.weight) + places
        return _attention(attention, query, key, value)
    key, value = _heads(attention, key), _heads(attention, value)  # (B, h, Q, d)
    scores = _scores(attention, key, attention.q_proj.weight, cells, places)
    shares = scores.softmax(2, dtype=torch.float32).to(cells.dtype)
    said = value @ _heads(attention, attention.out_proj.weight).mT  # (B, h, Q, C)
    return shares.flatten(1, 2).mT @ said.flatten(1, 2) + attention.out_proj.bias


def _scores(
    attention: SamAttention, tokens: Tensor, projection: Tensor, cells: Tensor, places: Tensor
) -> Tensor:
    """How alike heads' tokens (B, h, Q, d) and projected cells (B, N, C) are (B, h, Q, N).

    ``projection`` (D, C) is that of the cells; the tokens go through it backwards.
    """
    tokens = tokens * tokens.shape[-1] ** -0.5
    asked = tokens @ _heads(attention, projection.T).mT  # (B, h, Q, C)
    alike = asked.flatten(1, 2) @ cells.transpose(1, 2)  # (B, h Q, N)
    return alike.view(*tokens.shape[:3], -1) + tokens @ _heads(attention, places).mT


def _attention(attention: SamAttention, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Several heads over projections (B, L, D), put together (B, L, C)."""
    query, key, value = (_heads(attention, x) for x in (query, key, value))
    mixed = functional.scaled_dot_product_attention(query, key, value)  # (B, h, L, d)
    out: Tensor = attention.out_proj(mixed.transpose(1, 2).flatten(2))
    return out


def _few(attention: SamAttention, tokens: Tensor) -> bool:
    """Whether every head of every token takes less work than projecting the cells would."""
    inner: int = attention.internal_dim
    return tokens.shape[1] * int(attention.num_attention_heads) < inner


def _heads(attention: SamAttention, x: Tensor) -> Tensor:
    """The heads' shares (..., h, L, d) of (..., L, D)."""
    heads = int(attention.num_attention_heads)
    return x.reshape(*x.shape[:-1], heads, -1).transpose(-3, -2)


def _quarters(x: Tensor, convolution: torch.nn.ConvTranspose2d) -> Tensor:
    """Each pixel (..., c) as its 2 x 2 finer ones (..., 4, c')."""
    weight = convolution.weight.permute(2, 3, 1, 0).flatten(0, 2)  # (4 c', c)
    assert convolution.bias is not None
    finer = functional.linear(x, weight, convolution.bias.repeat(4))
    return finer.view(*x.shape[:-1], 4, convolution.out_channels)
