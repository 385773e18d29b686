# SPDX-License-Identifier: Apache-2.0
"""MoRA's network: LLaVA's eyes and language model, SAM's mask decoder, and a head for time.

MoRA: "Motion-Grounded Video Reasoning: Understanding and Perceiving Motion at Pixel Level" (CVPR
2025); [SEG] follows LISA (CVPR 2024), spatiotemporal pooling follows Video-ChatGPT (ACL 2024).
Shape legend: T frames, N patches, V CLIP's width, E the language model's width, L tokens, C SAM's
channels, G the side of SAM's grid, K objects, D the width of object queries, S summary tokens.
"""

from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from transformers import CLIPVisionModel, GenerationMixin, LlamaModel, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutputWithPast

from groundmore_ros.mora.configuration import MoraConfig
from groundmore_ros.mora.objects import (
    FrameObjects,
    ObjectQueries,
    ObjectReasoner,
    Reasoning,
    track_features,
)
from groundmore_ros.mora.segmentation import Segmenter
from groundmore_ros.mora.tracking import Linker, Tracks, link

__all__ = ["ABSENT_LOGIT", "Clip", "FrameFeatures", "MoraForCausalLM", "Seen", "TemporalHead"]

ABSENT_LOGIT = -20.0  # mask logit where the object is not there
BOX_MARGIN = 0.1  # of a box's size, how far beyond its edges a mask may reach
BOX_ROOM = 0.0125  # of the picture's side, likewise


class FrameFeatures(NamedTuple):
    """All that is kept of one frame; it depends on that frame alone.

    Attributes:
        patches: (N, V) CLIP features.
        embedding: (C, G, G) SAM's image embedding.
        objects: what was found in the frame, where the model looks for objects.
    """

    patches: Tensor
    embedding: Tensor
    objects: FrameObjects | None

    def stored(self, dtype: torch.dtype) -> "FrameFeatures":
        """With the two large tensors in another precision, for keeping."""
        return self._replace(patches=self.patches.to(dtype), embedding=self.embedding.to(dtype))

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        tensors = [self.patches, self.embedding, *(self.objects or ())]
        return sum(t.element_size() * t.numel() for t in tensors)


class Clip(NamedTuple):
    """A clip's frames, compared: what the language model is given and answers are decoded from.

    Attributes:
        tokens: (1, L, E) visual tokens; (T, N, E) where each frame stands alone.
        moments: (T, E) temporal tokens.
        tracks: objects through the clip, or None.
        reasoning: what is known of them, or None.
        linker: follows the tracks into further frames, or None.
    """

    tokens: Tensor
    moments: Tensor
    tracks: Tracks | None
    reasoning: Reasoning | None
    linker: Linker | None = None

    def seen(self, chosen: int | None) -> "Seen | None":
        """Where a track is in each frame; None where there are no tracks."""
        if chosen is None or self.tracks is None:
            return None
        tracks = self.tracks
        return Seen(tracks.boxes[chosen], tracks.queries[chosen], tracks.present[chosen])


class Seen(NamedTuple):
    """One object in T frames, as it was found there.

    Attributes:
        boxes: (T, 4) as in :class:`FrameObjects`.
        queries: (T, D).
        present: (T,) bool.
    """

    boxes: Tensor
    queries: Tensor
    present: Tensor


class TemporalHead(nn.Module):
    """One logit a frame: a query from [LOC] against the frames' tokens, for any number of frames.

    Additive attention of Bahdanau et al. (2015), without the softmax: events last several frames.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.query = nn.Linear(width, hidden)
        self.frame = nn.Linear(width, hidden)
        self.out = nn.Sequential(nn.GELU(), nn.Linear(hidden, hidden), nn.GELU())
        self.score = nn.Linear(hidden, 1)

    def forward(self, loc: Tensor, frames: Tensor) -> Tensor:
        """Hidden states of [LOC] (B, E) and the frames' tokens (B, T, E) to logits (B, T)."""
        mixed = self.out(self.query(loc)[:, None] + self.frame(frames))
        logits: Tensor = self.score(mixed)[..., 0]
        return logits


class MoraForCausalLM(PreTrainedModel, GenerationMixin):
    """CLIP tower, projector, Llama, SAM and MoRA's heads, as the configuration says."""

    config_class = MoraConfig
    base_model_prefix = "model"
    main_input_name = "input_ids"
    _supports_sdpa = True
    _supports_flash_attn = True
    _tied_weights_keys: ClassVar[dict[str, str]] = {
        "lm_head.weight": "language_model.embed_tokens.weight"
    }
    _no_split_modules: ClassVar[list[str]] = [
        "LlamaDecoderLayer",
        "CLIPEncoderLayer",
        "SamVisionLayer",
    ]

    def __init__(self, config: MoraConfig) -> None:
        super().__init__(config)
        width = config.text_config.hidden_size
        channels = config.sam_config.prompt_encoder_config.hidden_size
        self.vision_tower = CLIPVisionModel(config.vision_config)
        self.projector = _projector(config.projector, config.vision_config.hidden_size, width)
        self.language_model = LlamaModel(config.text_config)
        self.lm_head = nn.Linear(width, config.text_config.vocab_size, bias=False)
        self.segmenter = Segmenter(config)
        self.text_hidden_fcs = nn.ModuleList(
            [nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, channels))]
        )
        if config.temporal_head:
            self.temporal_head = TemporalHead(width, config.temporal_hidden)
        if config.object_queries:
            self.object_queries = ObjectQueries(config)
            self.object_reasoner = ObjectReasoner(config)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        """The language model's token embeddings."""
        return self.language_model.embed_tokens

    def get_output_embeddings(self) -> nn.Module:
        """The layer from hidden states to words."""
        return self.lm_head

    @property
    def prompt_tokens(self) -> int:
        """Prompts of a mask, P: [SEG]'s alone, or an object's query and the three of its box."""
        return 4 if self.config.object_queries else 1

    # --- frames
    # ------------------------------------------------------------------------------------

    def encode_frames(self, sam_pixels: Tensor, clip_pixels: Tensor) -> list[FrameFeatures]:
        """Features of frames, each of that frame alone.

        Args:
            sam_pixels: (B, 3, S, S), of any precision.
            clip_pixels: (B, 3, W, W), likewise.
        """
        patches = self.patch_features(clip_pixels.to(_dtype_of(self.vision_tower)))
        embedding = self.segmenter.encode(sam_pixels)
        found = self.object_queries(embedding) if self.config.object_queries else None
        return [
            FrameFeatures(
                patches[b],
                embedding[b],
                None if found is None else FrameObjects(*(field[b] for field in found)),
            )
            for b in range(len(patches))
        ]

    def patch_features(self, clip_pixels: Tensor) -> Tensor:
        """CLIP's patch features (B, N, V) at the configured layer, without its class token."""
        out = self.vision_tower(clip_pixels, output_hidden_states=True)
        features: Tensor = out.hidden_states[self.config.select_layer][:, 1:]
        return features

    # --- clips
    # -------------------------------------------------------------------------------------

    def compare(self, frames: list[FrameFeatures]) -> Clip:
        """Put a clip's frames together: pooled tokens, tracks, object tokens."""
        patches = torch.stack([f.patches for f in frames])  # (T, N, V)
        patches = patches.to(_dtype_of(self.projector))
        if self.config.pooling == "frame":
            tokens = self.projector(patches)
            return Clip(tokens, tokens.mean(1), None, None)
        moments, tokens = self.pooled_tokens(patches)
        tracks = reasoning = linker = None
        if self.config.object_queries:
            objects = [f.objects for f in frames if f.objects]
            tracks, linker = link(objects, self.config.object_queries)
            reasoning = self.object_reasoner(
                tracks.queries[None],
                track_features(tracks.boxes[None], tracks.scores[None], tracks.present[None]),
                tracks.valid[None],
                patches.mean(1)[None],
            )
            if self.config.object_tokens:
                known = reasoning.tokens[0, tracks.valid]  # (K', S, E)
                tokens = torch.cat([tokens, known.flatten(0, 1)])
        return Clip(tokens[None], moments, tracks, reasoning, linker)

    def pooled_tokens(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        """Temporal tokens (T, E), and with the N spatial ones behind them, of patches (T, N, V)."""
        moments = self.projector(patches.mean(-2))
        spatial = self.projector(patches.mean(-3))
        return moments, torch.cat([moments, spatial], dim=-2)

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Any = None,
        inputs_embeds: Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int = 0,
        **kwargs: Any,
    ) -> CausalLMOutputWithPast:
        """The language model: ids or embeddings (B, L[, E]) to logits and last hidden states.

        ``logits_to_keep``: of how many of the last tokens logits are computed; 0 means all.
        """
        kept = {k: kwargs[k] for k in ("cache_position",) if k in kwargs}
        out = self.language_model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            use_cache=use_cache,
            **kept,
        )
        hidden = out.last_hidden_state  # (B, L, E)
        return CausalLMOutputWithPast(
            logits=self.lm_head(hidden[:, -logits_to_keep:]),
            past_key_values=out.past_key_values,
            hidden_states=(hidden,),
        )

    # --- answers
    # -----------------------------------------------------------------------------------

    def seg_embedding(self, hidden: Tensor) -> Tensor:
        """Hidden states (..., E) that predict [SEG] to embeddings (..., C)."""
        embedding: Tensor = self.text_hidden_fcs[0](hidden.to(_dtype_of(self.text_hidden_fcs)))
        return embedding

    def point(self, seg: Tensor, keys: Tensor, valid: Tensor) -> Tensor:
        """Logits (..., K) of objects by their keys (..., K, C), for [SEG] embeddings (..., C)."""
        likeness = (keys @ seg[..., None])[..., 0] / seg.shape[-1] ** 0.5
        return likeness.masked_fill(~valid, -1e4)

    def draw(
        self, frames: list[FrameFeatures], seg: Tensor, seen: Seen | None
    ) -> tuple[Tensor, Tensor]:
        """Mask logits (T, 4G, 4G) and predicted IoU (T,) of one object.

        Args:
            frames: T of them.
            seg: (C,) the [SEG] embedding, or one a frame (T, C): the prompt itself, where the model
                does not look for objects.
            seen: the object that is meant, where it does.
        """
        embeddings = [f.embedding for f in frames]  # T of (C, G, G)
        if seen is None:
            return self.segmenter.decode(embeddings, seg.expand(len(frames), -1)[:, None])
        places = self.segmenter.box_code(seen.boxes)
        masks, quality = self.segmenter.decode(
            embeddings, self.object_queries.prompts(places, seen.queries)
        )
        # SAM takes a box for a hint, and goes on into a neighbour of the same colour.
        kept = seen.present[:, None, None] & _around(seen.boxes, masks.shape[-1])
        absent = torch.full_like(masks, ABSENT_LOGIT)
        return torch.where(kept, masks, absent), quality * seen.present

    def frame_logits(self, clip: Clip, loc: Tensor, chosen: int | None) -> Tensor:
        """Logits (T,) of each frame being inside the event that [LOC]'s state (E,) means."""
        moments = clip.moments
        if chosen is not None and clip.reasoning is not None:
            moments = moments + clip.reasoning.moments[0, chosen]
        logits: Tensor = self.temporal_head(loc[None], moments[None])[0]
        return logits


def _dtype_of(module: nn.Module) -> torch.dtype:
    return next(module.parameters()).dtype


def _around(boxes: Tensor, side: int) -> Tensor:
    """Pixels (T, side, side) in or near boxes (T, 4), given as shares of the side."""
    at = (torch.arange(side, device=boxes.device) + 0.5) / side
    reach = boxes[:, 2:] * (0.5 + BOX_MARGIN) + BOX_ROOM  # (T, 2)
    off = (at - boxes[:, :2, None]).abs() <= reach[..., None]  # (T, 2, side): columns, rows
    return off[:, 1, :, None] & off[:, 0, None]


def _projector(kind: str, before: int, after: int) -> nn.Module:
    if kind == "linear":
        return nn.Linear(before, after)
    return nn.Sequential(nn.Linear(before, after), nn.GELU(), nn.Linear(after, after))
