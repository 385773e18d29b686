# SPDX-License-Identifier: Apache-2.0
"""Object tokens: class-agnostic object queries of single frames, and reasoning over their tracks.

Queries are drawn from the image embedding at the peaks of a learned objectness map, as two-stage
detection transformers select theirs; each carries what SAM's decoder needs to draw the object.
Shape legend: B clips, T frames, K objects, D = object_dim, C = SAM's channels, G its grid side,
S = summary tokens, E = the language model's width.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from groundmore_ros.mora.configuration import MoraConfig

__all__ = [
    "GEOMETRY",
    "FrameObjects",
    "ObjectQueries",
    "ObjectReasoner",
    "Reasoning",
    "columns_at",
    "track_features",
]

GEOMETRY = 4  # centre x, centre y, width, height, as shares of the picture's side
# Presence, score, box, its change since the last frame, frames since it was last seen.
TRACK_EXTRAS = 2 + GEOMETRY + GEOMETRY


class FrameObjects(NamedTuple):
    """What one frame (or a batch of them) was found to hold, by falling score.

    Attributes:
        scores: (..., K) in 0..1.
        boxes: (..., K, 4) centre x, centre y, width, height, shares of the square's side.
        queries: (..., K, D).
        identities: (..., K, I) unit vectors, alike for one object in different frames.
    """

    scores: Tensor
    boxes: Tensor
    queries: Tensor
    identities: Tensor


class ObjectQueries(nn.Module):
    """Finds objects of any class in an image embedding.

    The objectness map and its training follow Zhou et al., "Objects as Points" (2019).
    """

    IDENTITY = 32

    def __init__(self, config: MoraConfig) -> None:
        super().__init__()
        channels = config.sam_config.prompt_encoder_config.hidden_size
        self.count = config.object_queries
        self.trunk = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(),
        )
        self.objectness = nn.Conv2d(channels, 1, 1)
        self.geometry = nn.Conv2d(channels, GEOMETRY, 1)
        self.query = nn.Sequential(
            nn.Conv2d(channels, 2 * config.object_dim, 1),
            nn.ReLU(),
            nn.Conv2d(2 * config.object_dim, config.object_dim, 1),
        )
        self.identity = nn.Linear(config.object_dim, self.IDENTITY)
        self.prompt = nn.Linear(config.object_dim, channels)
        nn.init.constant_(self.objectness.bias, -3.0)  # type: ignore[arg-type]

    def maps(self, embedding: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Dense predictions of an embedding (B, C, G, G).

        Returns:
            objectness logits (B, G, G), geometry (B, 4, G, G): the centre's offset from the cell's
            middle in cells and the size as shares of the side, and queries (B, D, G, G).
        """
        shared = embedding + self.trunk(embedding)
        return self.objectness(shared)[:, 0], self.geometry(shared), self.query(shared)

    def forward(self, embedding: Tensor) -> FrameObjects:
        """The K best peaks of each embedding (B, C, G, G)."""
        logits, geometry, queries = self.maps(embedding)
        side = logits.shape[-1]
        heat = logits.sigmoid()
        peak = functional.max_pool2d(heat[:, None], 3, 1, 1)[:, 0] == heat
        scores, cells = (heat * peak).flatten(1).topk(self.count)  # (B, K)
        picked = columns_at(queries, cells)
        return FrameObjects(
            scores=scores,
            boxes=self.boxes_at(geometry, cells, side).clamp(0, 1),
            queries=picked,
            identities=functional.normalize(self.identity(picked), dim=-1),
        )

    def prompts(self, places: Tensor, queries: Tensor) -> Tensor:
        """Prompts (..., 4, C) of objects: queries (..., D) and their boxes' codes (..., 3, C)."""
        return torch.cat([self.prompt(queries)[..., None, :], places], dim=-2)

    @staticmethod
    def boxes_at(geometry: Tensor, cells: Tensor, side: int) -> Tensor:
        """Boxes (B, K, 4) that the geometry (B, 4, G, G) tells at cells (B, K)."""
        raw = columns_at(geometry, cells)
        x = (cells % side + 0.5 + raw[..., 0]) / side
        y = (cells // side + 0.5 + raw[..., 1]) / side
        return torch.stack([x, y, raw[..., 2], raw[..., 3]], dim=-1)


def columns_at(maps: Tensor, cells: Tensor) -> Tensor:
    """Columns of maps (B, X, G, G) at cells (B, K), as (B, K, X)."""
    flat = maps.flatten(2)
    index = cells[:, None].expand(-1, flat.shape[1], -1)
    return flat.gather(2, index).transpose(1, 2)


def track_features(boxes: Tensor, scores: Tensor, present: Tensor) -> Tensor:
    """What moves, in numbers (B, K, T, TRACK_EXTRAS).

    Boxes are (B, K, T, 4), the rest (B, K, T).

    Absent frames hold the last known box; their change is zero.
    """
    change = functional.pad(boxes[:, :, 1:] - boxes[:, :, :-1], (0, 0, 1, 0))
    both = present & functional.pad(present[:, :, :-1], (1, 0))
    change = change * both[..., None]
    # Motions of a few pixels matter: bring them to the scale of the other inputs.
    return torch.cat(
        [present[..., None].to(boxes.dtype), scores[..., None], 4 * boxes - 2, 20 * change], dim=-1
    )


class Reasoning(NamedTuple):
    """What the reasoner tells of a clip.

    Attributes:
        tokens: (B, K, S, E) for the language model.
        keys: (B, K, C) that the [SEG] embedding is held against.
        moments: (B, K, T, E) each object in each frame.
    """

    tokens: Tensor
    keys: Tensor
    moments: Tensor


class ObjectReasoner(nn.Module):
    """A transformer over tracks: attention along time and across objects, in turn."""

    HEADS = 4

    def __init__(self, config: MoraConfig) -> None:
        super().__init__()
        width = config.text_config.hidden_size
        channels = config.sam_config.prompt_encoder_config.hidden_size
        self.summaries = config.summary_tokens
        self.enter = nn.Sequential(
            nn.Linear(config.object_dim + TRACK_EXTRAS, 2 * width),
            nn.GELU(),
            nn.Linear(2 * width, width),
        )
        self.scene = nn.Linear(config.vision_config.hidden_size, width)
        self.summary = nn.Parameter(torch.randn(config.summary_tokens, width) * 0.02)
        self.kind = nn.Parameter(torch.randn(2, width) * 0.02)  # the scene, an object
        self.layers = nn.ModuleList(
            _Layer(width, self.HEADS) for _ in range(config.reasoner_layers)
        )
        self.norm = nn.LayerNorm(width)
        self.token = nn.Linear(width, width)
        self.key = nn.Linear(config.summary_tokens * width, channels)
        # What an object looks like needs no reasoning; without a way of its own it gets lost.
        self.look = nn.Linear(config.object_dim, width)

    def forward(self, queries: Tensor, extras: Tensor, valid: Tensor, scene: Tensor) -> Reasoning:
        """Reason over tracks.

        Args:
            queries: (B, K, T, D).
            extras: (B, K, T, TRACK_EXTRAS) from :func:`track_features`.
            valid: (B, K) which tracks there are.
            scene: (B, T, V) CLIP's mean features, which tell how the whole picture moves.
        """
        batch, count, frames, _ = queries.shape
        x = self.enter(torch.cat([queries, extras], dim=-1)) + self.kind[1]  # (B, K, T, E)
        x = torch.cat([(self.scene(scene) + self.kind[0])[:, None], x], dim=1)  # (B, 1+K, T, E)
        x = x + _time_code(frames, x.shape[-1], x)
        summary = self.summary.expand(batch, count + 1, -1, -1).to(x.dtype)
        x = torch.cat([summary, x], dim=2)  # (B, 1+K, S+T, E)
        there = torch.cat([torch.ones_like(valid[:, :1]), valid], dim=1)  # (B, 1+K)
        for layer in self.layers:
            x = layer(x, there)
        x = self.norm(x)[:, 1:]
        summary, moments = x[:, :, : self.summaries], x[:, :, self.summaries :]
        look = self.look(_mean_present(queries, extras[..., 0]))  # (B, K, E)
        summary = summary + look[:, :, None]
        return Reasoning(self.token(summary), self.key(summary.flatten(2)), moments)


def _mean_present(queries: Tensor, present: Tensor) -> Tensor:
    """Mean queries (B, K, D) over the frames (B, K, T) in which the objects were found."""
    weight = present[..., None]
    return (queries * weight).sum(2) / weight.sum(2).clamp(min=1)


class _Layer(nn.Module):
    """Pre-norm attention along time, then across objects, then a feed-forward step."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.time = _Attention(width, heads)
        self.objects = _Attention(width, heads)
        self.feed = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, 3 * width),
            nn.GELU(),
            nn.Linear(3 * width, width),
        )

    def forward(self, x: Tensor, there: Tensor) -> Tensor:
        batch, count, steps, width = x.shape
        x = x + self.time(x.flatten(0, 1), None).view_as(x)
        across = x.transpose(1, 2).flatten(0, 1)  # (B * (S+T), 1+K, E)
        mask = there[:, None].expand(-1, steps, -1).flatten(0, 1)
        mixed = self.objects(across, mask[:, None, None]).view(batch, steps, count, width)
        x = x + mixed.transpose(1, 2)
        out: Tensor = x + self.feed(x)
        return out


class _Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        rows, steps, width = x.shape
        qkv = self.qkv(self.norm(x)).view(rows, steps, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each (rows, heads, steps, width / heads)
        mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        out: Tensor = self.out(mixed.transpose(1, 2).reshape(rows, steps, width))
        return out


def _time_code(frames: int, width: int, like: Tensor) -> Tensor:
    """Sinusoids of the frame's index (T, E): any number of frames."""
    rate = torch.exp(torch.arange(0, width, 2, device=like.device) * (-math.log(200.0) / width))
    phase = torch.arange(frames, device=like.device)[:, None] * rate
    return torch.stack([phase.sin(), phase.cos()], dim=-1).flatten(1).to(like.dtype)
