# SPDX-License-Identifier: Apache-2.0
"""SAM's attention with its relative positions folded into queries and keys.

SAM adds to each logit a term for the rows' distance and one for the columns' (Li et al., "MViTv2",
CVPR 2022). The sum of both is the product of [row terms, column terms] of the query with
[one-hot row, one-hot column] of the key, so plain attention over wider heads gives the same, and the
table of all queries by all keys (134 MB a head at 4096 tokens in float32, twice) is never made.
Shape legend: B pictures or windows, N heads, H x W tokens, D width of a head.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.models.sam.modeling_sam import SamVisionAttention, SamVisionEncoder

__all__ = ["FoldedAttention", "fold_positions"]


class FoldedAttention(SamVisionAttention):
    """A drop-in for transformers' attention, with the same weights."""

    def forward(
        self, hidden_states: Tensor, output_attentions: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """Attend within pictures or windows (B, H, W, N * D); gives no weights."""
        del output_attentions
        batch, height, width, channels = hidden_states.shape
        heads, tokens = self.num_attention_heads, height * width
        qkv = self.qkv(hidden_states).view(batch, tokens, 3, heads, channels // heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)  # each (B, N, H * W, D)
        rows, columns = self._position_terms(query, height, width)
        # The scale is for contents only: what the kernel divides, the terms get beforehand.
        wide = torch.cat([query * self.scale, rows, columns], dim=-1)
        where = _one_hot(height, width, key).expand(batch, heads, -1, -1)
        wide_key = torch.cat([key, where], dim=-1)
        padded = functional.pad(value, (0, wide.shape[-1] - value.shape[-1]))
        mixed = functional.scaled_dot_product_attention(wide, wide_key, padded, scale=1.0)
        mixed = mixed[..., : channels // heads].permute(0, 2, 1, 3)
        return self.proj(mixed.reshape(batch, height, width, channels)), None

    def _position_terms(self, query: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
        """What each query adds for each row (B, N, H * W, H) and each column (B, N, H * W, W)."""
        batch, heads, tokens, depth = query.shape
        grid = query.reshape(batch, heads, height, width, depth)
        row_table = self.get_rel_pos(height, height, self.rel_pos_h)  # (H, H, D)
        column_table = self.get_rel_pos(width, width, self.rel_pos_w)  # (W, W, D)
        rows = torch.einsum("bnhwd,hkd->bnhwk", grid, row_table)
        columns = torch.einsum("bnhwd,wkd->bnhwk", grid, column_table)
        return rows.reshape(batch, heads, tokens, -1), columns.reshape(batch, heads, tokens, -1)


def _one_hot(height: int, width: int, like: Tensor) -> Tensor:
    """Row and column of each token (H * W, H + W)."""
    row = torch.eye(height, device=like.device, dtype=like.dtype).repeat_interleave(width, 0)
    column = torch.eye(width, device=like.device, dtype=like.dtype).repeat(height, 1)
    return torch.cat([row, column], dim=-1)


def fold_positions(encoder: SamVisionEncoder) -> None:
    """Give an encoder's layers this attention; their weights keep their names."""
    layer: nn.Module
    for layer in encoder.layers:
        layer.attn = FoldedAttention(encoder.config, layer.window_size)
