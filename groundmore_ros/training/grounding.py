# SPDX-License-Identifier: Apache-2.0
"""The losses of a whole MoRA model: its words, its masks, and its frames inside the event.

Masks: LISA (CVPR 2024), cross entropy of the words 1, of the pixels 2, dice 0.5. [LOC]: one binary
cross entropy a frame, MoRA (CVPR 2025).
Shape legend: T frames, L tokens, E the language model's width, M the side of mask logits.
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from groundmore_ros.mora.conversation import build_prompt
from groundmore_ros.mora.generation import prompt_embeddings
from groundmore_ros.mora.modeling import Clip, FrameFeatures, MoraForCausalLM
from groundmore_ros.mora.processing import FrameProcessor
from groundmore_ros.mora.tokenization import MoraTokenizer
from groundmore_ros.training.clips import ClipSample
from groundmore_ros.training.trainer import StepResult

__all__ = ["Grounding", "dice_loss"]

WORDS, PIXELS, DICE, TIME = 1.0, 2.0, 0.5, 1.0


class Grounding(nn.Module):
    """A model with its losses. Features of frozen eyes are computed without gradients."""

    def __init__(self, model: MoraForCausalLM, tokenizer: MoraTokenizer) -> None:
        super().__init__()
        self.model, self.tokenizer = model, tokenizer
        self.processor = FrameProcessor(model.config)
        self.seg = tokenizer.id_of(model.config.seg_token)
        self.loc = tokenizer.id_of(model.config.loc_token) if model.config.temporal_head else -1

    def train(self, mode: bool = True) -> "Grounding":
        """Set the mode; the eyes are not trained, and keep what they know of pictures."""
        super().train(mode)
        self.model.vision_tower.eval()
        self.model.segmenter.image_encoder.eval()
        return self

    def forward(self, sample: ClipSample) -> StepResult:
        """The losses of one clip."""
        frames = self._see(sample)
        clip = self.model.compare(frames)
        answer = self._answer(sample)
        hidden, words = self._read(clip, sample.question, answer)
        losses = {"words": WORDS * words}
        metrics = {}
        if sample.masks is not None:
            drawing, overlap = self._draw(frames, hidden, answer, sample)
            losses |= drawing
            metrics["iou"] = overlap
        if self.loc in answer and sample.inside is not None:
            at = answer.index(self.loc)
            logits = self.model.frame_logits(clip, hidden[0, at], None).float()
            truth = torch.as_tensor(sample.inside, dtype=torch.float32, device=logits.device)
            losses["time"] = TIME * functional.binary_cross_entropy_with_logits(logits, truth)
        return StepResult(losses, metrics)

    def mask_logits(self, sample: ClipSample) -> Tensor:
        """What is drawn (T, M, M) when the answer's words are given."""
        frames = self._see(sample)
        clip = self.model.compare(frames)
        answer = self._answer(sample)
        hidden, _ = self._read(clip, sample.question, answer)
        seg = self.model.seg_embedding(hidden[:, answer.index(self.seg)])
        return self.model.draw(frames, seg, None)[0]

    def _see(self, sample: ClipSample) -> list[FrameFeatures]:
        inputs = [self.processor(f) for f in sample.frames]
        device = self.model.lm_head.weight.device
        frozen = not any(
            p.requires_grad
            for part in (self.model.vision_tower, self.model.segmenter.image_encoder)
            for p in part.parameters()
        )
        with torch.set_grad_enabled(torch.is_grad_enabled() and not frozen):
            return self.model.encode_frames(
                torch.stack([i.sam for i in inputs]).to(device),
                torch.stack([i.clip for i in inputs]).to(device),
            )

    def _answer(self, sample: ClipSample) -> list[int]:
        config = self.model.config
        text = config.nothing_template
        if sample.masks is not None:
            text = config.answer_template.replace("{name}", sample.name or "object")
        return self.tokenizer.encode_answer(text)

    def _read(self, clip: Clip, question: str, answer: list[int]) -> tuple[Tensor, Tensor]:
        """States (B, A, E) that predict the answer's tokens, and the loss of its words.

        B is 1, or T where each frame stands alone.
        """
        config = self.model.config
        parts = build_prompt(config.conversation, question + config.question_suffix)
        prompts = prompt_embeddings(self.model, self.tokenizer, parts, clip.tokens)
        ids = torch.tensor(answer, device=prompts.device)
        words = self.model.get_input_embeddings()(ids[:-1]).expand(len(prompts), -1, -1)
        x = torch.cat([prompts, words], dim=1)  # (B, L + A - 1, E)
        out = self.model.language_model(inputs_embeds=x, use_cache=False)
        hidden: Tensor = out.last_hidden_state[:, -len(answer) :]
        logits = self.model.lm_head(hidden).float()
        targets = ids.expand(len(prompts), -1)
        return hidden, functional.cross_entropy(logits.flatten(0, 1), targets.flatten())

    def _draw(
        self,
        frames: list[FrameFeatures],
        hidden: Tensor,
        answer: list[int],
        sample: ClipSample,
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Losses of the masks at the decoder's resolution, and their mean IoU."""
        seg = self.model.seg_embedding(hidden[:, answer.index(self.seg)])  # (B, C)
        logits, _ = self.model.draw(frames, seg, None)  # (T, M, M)
        logits = logits.float()
        truth, there = self._truth(sample, logits.shape[-1])
        truth, there = truth.to(logits.device), there.to(logits.device)
        pixels = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")
        inside = (pixels * there).sum((1, 2)) / there.sum((1, 2)).clamp(min=1)
        with torch.no_grad():
            found, wanted = (logits > 0) & there.bool(), truth > 0.5
            both, either = (found & wanted).sum((1, 2)), (found | wanted).sum((1, 2))
            overlap = torch.where(either > 0, both / either.clamp(min=1), 1.0).mean()
        losses = {"pixels": PIXELS * inside.mean(), "dice": DICE * dice_loss(logits, truth, there)}
        return losses, overlap

    def _truth(self, sample: ClipSample, side: int) -> tuple[Tensor, Tensor]:
        """Masks (T, M, M) as SAM's padded square shows them, and where the square holds picture."""
        assert sample.masks is not None
        height, width = sample.masks.shape[1:]
        inner = self.processor.scaled(height, width)
        scale = side / self.processor.side
        size = (max(1, round(inner[0] * scale)), max(1, round(inner[1] * scale)))
        small = functional.interpolate(
            torch.from_numpy(sample.masks.astype(np.float32))[:, None], size, mode="area"
        )[:, 0]
        pad = (0, side - size[1], 0, side - size[0])
        return functional.pad(small, pad), functional.pad(torch.ones_like(small), pad)


def dice_loss(logits: Tensor, truth: Tensor, there: Tensor) -> Tensor:
    """One less the dice overlap of chances and truth (T, M, M), over what is picture."""
    chance = (logits.sigmoid() * there).flatten(1)
    truth = truth.flatten(1)
    overlap = (2 * (chance * truth).sum(1) + 1) / (chance.sum(1) + truth.sum(1) + 1)
    return (1 - overlap).mean()
