# SPDX-License-Identifier: Apache-2.0
"""Configuration of MoRA models, from LISA-7B's layout down to mora-nano."""

from typing import Any, ClassVar

from transformers import CLIPVisionConfig, LlamaConfig, PretrainedConfig, SamConfig

from groundmore_ros.errors import ModelError

__all__ = ["MoraConfig"]

_CHOICES = {
    "pooling": ("spatiotemporal", "frame"),
    "image_encoder": ("sam", "conv"),
    "projector": ("linear", "mlp"),
    "seg_state": ("token", "answer"),
    "clip_crop": ("center", "pad"),
    "position_dtype": ("float32", "bfloat16", "float16"),
    "conversation": ("llava_v1", "llava_llama_2", "plain"),
}


class MoraConfig(PretrainedConfig):
    """What a MoRA model is made of.

    Args:
        text_config: the Llama language model.
        vision_config: the CLIP vision tower.
        sam_config: SAM: image encoder, prompt encoder and mask decoder.
        pooling: ``spatiotemporal`` (MoRA: T temporal and N spatial tokens, one pass a clip) or
            ``frame`` (LISA: each frame alone, with its N tokens).
        image_encoder: ``sam`` (SAM's ViT) or ``conv`` (a small convolutional encoder).
        conv_widths: channels of the convolutional encoder at strides 2, 4, 8 and 16.
        projector: from CLIP features to the language model: ``linear`` or ``mlp``.
        clip_crop: ``center`` (as CLIP's processor) or ``pad`` (the whole frame is seen).
        select_layer: the CLIP layer whose patch features are used.
        conversation: the prompt's template.
        question_suffix: appended to each question.
        answer_template: what the model is trained to answer; ``{name}`` is the object's name, where
            the template has it.
        nothing_template: the answer where there is no object.
        temporal_head: whether [LOC] is decoded into one probability a frame.
        temporal_hidden: width of that head.
        object_queries: most objects a frame is searched for; 0 leaves object tokens out.
        object_tokens: whether the language model is given tokens of the objects; without, they are
            only pointed at.
        object_dim: width of an object query.
        reasoner_layers: depth of the transformer over objects and frames.
        summary_tokens: tokens each object gives to the language model.
        score_threshold: answers that score less are NO_OBJECT.
        gate_threshold: frames with at least this probability are inside the event.
        seg_state: which state a [SEG] is read from: the one that predicts the ``token`` itself
            (MoRA, LISA), or the one that predicts the ``answer``'s first word, which no wrong word
            of the answer can mislead.
        seg_token, loc_token: the tokens' texts.
        max_new_tokens: longest answer.
        position_dtype: the precision in which SAM's positional encoding was computed in training,
            and so must be computed.
    """

    model_type = "mora"
    sub_configs: ClassVar[dict[str, Any]] = {
        "text_config": LlamaConfig,
        "vision_config": CLIPVisionConfig,
        "sam_config": SamConfig,
    }

    def __init__(
        self,
        text_config: dict[str, Any] | LlamaConfig | None = None,
        vision_config: dict[str, Any] | CLIPVisionConfig | None = None,
        sam_config: dict[str, Any] | SamConfig | None = None,
        *,
        pooling: str = "spatiotemporal",
        image_encoder: str = "sam",
        conv_widths: list[int] | None = None,
        projector: str = "linear",
        clip_crop: str = "center",
        select_layer: int = -2,
        conversation: str = "llava_v1",
        question_suffix: str = (
            " Please output the spatiotemporal segmentation masks as the answer to the question "
            "according to both temporal and spatial motion clues."
        ),
        answer_template: str = (
            "Sure, the target object is [SEG], and the temporal boundary is [LOC]."
        ),
        nothing_template: str = "Sure, there is no such object.",
        temporal_head: bool = True,
        temporal_hidden: int = 256,
        object_queries: int = 0,
        object_tokens: bool = True,
        object_dim: int = 64,
        reasoner_layers: int = 4,
        summary_tokens: int = 2,
        score_threshold: float = 0.0,
        gate_threshold: float = 0.5,
        seg_state: str = "token",
        seg_token: str = "[SEG]",
        loc_token: str = "[LOC]",
        max_new_tokens: int = 64,
        position_dtype: str = "float32",
        tie_word_embeddings: bool = False,
        **kwargs: Any,
    ) -> None:
        self.text_config = _sub(text_config, LlamaConfig)
        self.vision_config = _sub(vision_config, CLIPVisionConfig)
        self.sam_config = _sub(sam_config, SamConfig)
        self.pooling = pooling
        self.image_encoder = image_encoder
        self.conv_widths = list(conv_widths or (32, 64, 96, 128))
        self.projector = projector
        self.clip_crop = clip_crop
        self.select_layer = select_layer
        self.conversation = conversation
        self.question_suffix = question_suffix
        self.answer_template = answer_template
        self.nothing_template = nothing_template
        self.temporal_head = temporal_head
        self.temporal_hidden = temporal_hidden
        self.object_queries = object_queries
        self.object_tokens = object_tokens
        self.object_dim = object_dim
        self.reasoner_layers = reasoner_layers
        self.summary_tokens = summary_tokens
        self.score_threshold = score_threshold
        self.gate_threshold = gate_threshold
        self.seg_state = seg_state
        self.seg_token = seg_token
        self.loc_token = loc_token
        self.max_new_tokens = max_new_tokens
        self.position_dtype = position_dtype
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ModelError(
                    f"{name} is {getattr(self, name)!r}; expected one of {', '.join(allowed)}"
                )
        super().__init__(tie_word_embeddings=tie_word_embeddings, **kwargs)

    def get_text_config(self, *args: Any, **kwargs: Any) -> LlamaConfig:
        """The language model's configuration, which generation reads."""
        del args, kwargs
        return self.text_config

    @property
    def image_size(self) -> int:
        """Side of the square that SAM sees, pixels."""
        return int(self.sam_config.vision_config.image_size)

    @property
    def patches(self) -> int:
        """Patch features of a frame, N."""
        side = self.vision_config.image_size // self.vision_config.patch_size
        return int(side * side)


def _sub(value: Any, kind: Any) -> Any:
    if value is None:
        return kind()
    return value if isinstance(value, PretrainedConfig) else kind(**value)
