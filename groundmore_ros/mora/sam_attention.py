# SPDX-License-Identifier: Apache-2.0
"""SAM's attention with relative positions, a few rows of queries at a time on CPUs.

The bias of all queries by all keys is 67 MB a head for 4096 tokens in float32: it is made, read
once and thrown away, and costs more than the products. A few rows' share of it stays in the cache.
Shape legend: B pictures or windows, N heads, H x W tokens, D width of a head, R rows.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.models.sam.modeling_sam import SamVisionEncoder, SamVisionSdpaAttention

__all__ = ["RowwiseAttention", "attend_by_rows"]

BIAS_BYTES = 4 << 20  # of the bias at a time


class RowwiseAttention(SamVisionSdpaAttention):
    """A drop-in for transformers' attention, with the same weights and results."""

    def forward(
        self, hidden_states: Tensor, output_attentions: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """Attend within pictures or windows (B, H, W, N * D); gives no weights."""
        batch, height, width, _ = hidden_states.shape
        row = batch * self.num_attention_heads * width * height * width  # the bias of one row
        rows = max(1, BIAS_BYTES // (row * hidden_states.element_size()))
        whole = hidden_states.device.type != "cpu" or torch.compiler.is_exporting()
        if whole or rows >= height or not self.use_rel_pos:
            mixed: tuple[Tensor, None] = super().forward(hidden_states, output_attentions)
            return mixed
        return self._by_rows(hidden_states, rows), None

    def _by_rows(self, x: Tensor, rows: int) -> Tensor:
        batch, height, width, channels = x.shape
        qkv = self.qkv(x).view(batch, height * width, 3, self.num_attention_heads, -1)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)  # each (B, N, H * W, D)
        key, value = key.contiguous(), value.contiguous()
        query = query.reshape(*query.shape[:2], height, width, -1)
        down = self._terms("bnhwd,hkd->bnhwk", query, height, self.rel_pos_h)  # (B, N, H, W, H)
        across = self._terms("bnhwd,wkd->bnhwk", query, width, self.rel_pos_w)  # (B, N, H, W, W)
        parts = []
        for part in (slice(first, first + rows) for first in range(0, height, rows)):
            bias = down[:, :, part, :, :, None] + across[:, :, part, :, None]  # (B, N, R, W, H, W)
            seen = functional.scaled_dot_product_attention(
                query[:, :, part].flatten(2, 3), key, value, bias.flatten(4).flatten(2, 3)
            )  # (B, N, R * W, D)
            parts.append(seen.transpose(1, 2))
        mixed: Tensor = self.proj(torch.cat(parts, dim=1).reshape(batch, height, width, channels))
        return mixed

    def _terms(self, product: str, query: Tensor, size: int, table: Tensor) -> Tensor:
        """What each query adds for each row, or each column, of keys."""
        return torch.einsum(product, query, self.get_rel_pos(size, size, table))


def attend_by_rows(encoder: SamVisionEncoder) -> None:
    """Give an encoder's layers this attention; their weights keep their names."""
    layer: nn.Module
    for layer in encoder.layers:
        layer.attn = RowwiseAttention(encoder.config, layer.window_size)
