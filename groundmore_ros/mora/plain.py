# SPDX-License-Identifier: Apache-2.0
"""Answering as the originals' released code does it, to measure against.

Frame by frame, nothing kept: pictures are prepared and encoded anew for every frame and question,
CLIP and the whole language model run again for every new token, masks are drawn one at a time by
transformers' own layers.
"""

import copy
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers.models.sam.modeling_sam import SamVisionEncoder

from groundmore_ros.errors import ModelError
from groundmore_ros.mora.answer import NO_MASK_LOGIT
from groundmore_ros.mora.assistant import Mora
from groundmore_ros.mora.conversation import build_prompt
from groundmore_ros.mora.generation import prompt_embeddings
from groundmore_ros.mora.processing import FrameProcessor
from groundmore_ros.mora.segmentation import Segmenter

__all__ = ["plain_answer", "plain_masks"]


@torch.inference_mode()
def plain_answer(
    mora: Mora, frames: Sequence[NDArray[np.uint8]], question: str
) -> NDArray[np.float32]:
    """Mask logits (T, H, W) of the first [SEG] of each frame; very negative where there is none.

    Raises:
        ModelError: the model does not answer frame by frame.
    """
    if mora.config.pooling != "frame":
        raise ModelError(f"pooling is {mora.config.pooling!r}; expected 'frame'")
    encoder = _plain_encoder(mora)
    return np.stack([_one_frame(mora, encoder, frame, question) for frame in frames])


def _plain_encoder(mora: Mora) -> SamVisionEncoder:
    """The image encoder with the original's attention: all weights at once, softmax, product."""
    own = mora.model.segmenter.image_encoder
    config = copy.deepcopy(mora.config.sam_config.vision_config)
    config._attn_implementation = "eager"
    with torch.device("meta"):
        encoder = SamVisionEncoder(config)
    encoder.load_state_dict(own.state_dict(), assign=True)
    return encoder.eval()


def _one_frame(
    mora: Mora, encoder: SamVisionEncoder, frame: NDArray[np.uint8], question: str
) -> NDArray[np.float32]:
    model, processor = mora.model, FrameProcessor(mora.config)
    inputs = processor(frame)
    pixels = inputs.clip[None].to(model.device)
    spoken: list[int] = []
    seg: Tensor | None = None
    wanted = mora.tokenizer.id_of(mora.config.seg_token)
    while len(spoken) < mora.config.max_new_tokens and mora.tokenizer.eos not in spoken:
        state = _next_state(mora, pixels, question, spoken)
        token = int(model.lm_head(state).argmax())
        if token == wanted and seg is None:
            seg = model.seg_embedding(state)
        spoken.append(token)
    height, width = frame.shape[:2]
    if seg is None:
        return np.full((height, width), NO_MASK_LOGIT, np.float32)
    sam = inputs.sam[None].to(model.device, next(encoder.parameters()).dtype)
    embedding = encoder(sam).last_hidden_state
    drawn = plain_masks(model.segmenter, embedding, seg[None, None])
    return np.asarray(processor.to_frame(drawn, height, width)[0].cpu().numpy())


def plain_masks(segmenter: Segmenter, embeddings: Tensor, prompts: Tensor) -> Tensor:
    """Masks (T, 4 G, 4 G) by transformers' own decoder, all frames in one batch.

    Args:
        segmenter: whose weights are used.
        embeddings: (T, C, G, G).
        prompts: (T, P, C).
    """
    grid = segmenter.grid_code(embeddings.shape[-1])
    masks, _ = segmenter.mask_decoder(
        image_embeddings=embeddings,
        image_positional_embeddings=grid.expand(len(embeddings), -1, -1, -1),
        sparse_prompt_embeddings=prompts[:, None],
        dense_prompt_embeddings=segmenter.prompt_encoder.no_mask_embed.weight[..., None, None],
        multimask_output=False,
    )
    drawn: Tensor = masks[:, 0, 0]
    return drawn


def _next_state(mora: Mora, pixels: Tensor, question: str, spoken: list[int]) -> Tensor:
    """The state (E,) that predicts the next token, everything computed from the start."""
    model = mora.model
    tokens = model.projector(model.patch_features(pixels))  # (1, N, E)
    parts = build_prompt(mora.config.conversation, question + mora.config.question_suffix)
    x = prompt_embeddings(model, mora.tokenizer, parts, tokens)
    if spoken:
        words = model.get_input_embeddings()(torch.tensor([spoken], device=x.device))
        x = torch.cat([x, words], dim=1)
    state: Tensor = model.language_model(inputs_embeds=x, use_cache=False).last_hidden_state[0, -1]
    return state
