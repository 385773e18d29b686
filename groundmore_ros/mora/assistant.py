# SPDX-License-Identifier: Apache-2.0
"""The facade: frames and a question in, an answer out."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers.utils import logging

from groundmore_ros.errors import BadFrameError, BadQuestionError, ModelError
from groundmore_ros.mora.answer import Answer, AnsweredObject, Status, find_spans, gate
from groundmore_ros.mora.conversation import build_prompt
from groundmore_ros.mora.modeling import Clip, FrameFeatures, MoraForCausalLM
from groundmore_ros.mora.processing import FrameProcessor
from groundmore_ros.mora.question import check_question
from groundmore_ros.mora.tokenization import IMAGE_ID, MoraTokenizer
from groundmore_ros.mora.zoo import resolve_model

__all__ = ["EncodedFrame", "Mora"]

_DTYPES = {
    "auto": "auto",
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


class Timing(Protocol):
    """Takes note of where the time went, s."""

    reason: float
    decode: float


class EncodedFrame(NamedTuple):
    """Features of one frame, and the frame's size."""

    features: FrameFeatures
    height: int
    width: int

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return self.features.nbytes


class _Said(NamedTuple):
    """What the language model generated: ids (L,), states that predict them (L, E), log-chances."""

    ids: list[int]
    states: Tensor
    log_chances: Tensor


class Mora:
    """A loaded model that answers questions about clips.

    Several threads may encode and answer at once; they share the weights and nothing else.
    """

    def __init__(
        self, model: MoraForCausalLM, tokenizer: MoraTokenizer, name: str = "mora"
    ) -> None:
        self.model = model.eval().requires_grad_(False)
        self.tokenizer = tokenizer
        self.name = name
        self.config = model.config
        self._processor = FrameProcessor(model.config)
        self._seg = tokenizer.id_of(model.config.seg_token)
        self._loc = tokenizer.id_of(model.config.loc_token) if model.config.temporal_head else -1

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path,
        *,
        device: str = "cpu",
        dtype: str = "auto",
        encoder: str = "torch",
        decoder: str = "torch",
    ) -> "Mora":
        """Load a model that is on this machine.

        Args:
            name: a folder, the name of a shipped model, or a hub id in the local cache.
            device: as torch names it, ``cpu`` or ``cuda``; ``auto`` takes a GPU where there is one.
            dtype: ``auto`` (as saved), ``float32``, ``bfloat16`` or ``float16``.
            encoder: the back end of SAM's image encoder: ``torch``.
            decoder: the back end of SAM's mask decoder: ``torch``.

        Raises:
            ModelError: it is not there, does not fit together, or is asked for what is not built.
        """
        if dtype not in _DTYPES:
            raise ModelError(f"dtype is {dtype!r}; expected one of {', '.join(_DTYPES)}")
        for role, backend in (("encoder", encoder), ("decoder", decoder)):
            if backend != "torch":
                raise ModelError(f"{role} is {backend!r}; expected torch")
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        folder = resolve_model(str(name))
        try:
            tokenizer = MoraTokenizer.load(folder)
            logging.disable_progress_bar()  # a node's log is no place for one
            model, loading = MoraForCausalLM.from_pretrained(
                folder, dtype=_DTYPES[dtype], output_loading_info=True
            )
            model.to(device)  # type: ignore[arg-type]
        except ModelError:
            raise
        except Exception as error:  # what damaged files and absent devices raise has no base
            raise ModelError(f"{folder} cannot be loaded: {error}") from error
        wrong = sorted(loading["missing_keys"]) + sorted(loading["unexpected_keys"])
        if wrong:
            raise ModelError(f"{folder}: weights that are missing or unknown: {', '.join(wrong)}")
        return cls(model, tokenizer, Path(name).name)

    def encode(self, frame: NDArray[np.uint8]) -> EncodedFrame:
        """Features of a frame (H, W, 3) uint8 RGB; they depend on that frame alone.

        Raises:
            BadFrameError: another shape or type.
        """
        inputs = self._processor(frame)
        device, dtype = self.model.device, self.model.dtype
        with torch.inference_mode():
            features = self.model.encode_frames(
                inputs.sam[None].to(device, dtype), inputs.clip[None].to(device, dtype)
            )
        return EncodedFrame(features[0], frame.shape[0], frame.shape[1])

    def answer(
        self, frames: Sequence[NDArray[np.uint8]], stamps: Sequence[float], question: str
    ) -> Answer:
        """Answer a question about a clip.

        Args:
            frames: T of (H, W, 3) uint8 RGB, of one size.
            stamps: T, s, rising.
            question: as a person would ask it.

        Raises:
            BadFrameError: no frames, other shapes, or stamps that do not fit them.
            BadQuestionError: an empty question, or one that is too long.
        """
        return self.answer_features([self.encode(f) for f in frames], stamps, question)

    @torch.inference_mode()
    def answer_features(
        self,
        features: Sequence[EncodedFrame],
        stamps: Sequence[float],
        question: str,
        *,
        timing: Timing | None = None,
    ) -> Answer:
        """The same answer as :meth:`answer`, from frames that were encoded before.

        Args:
            features: T, from :meth:`encode`.
            stamps: T, s, rising.
            question: as a person would ask it.
            timing: where the seconds spent reasoning and decoding are noted.
        """
        text = check_question(question)
        times = _check_clip(features, stamps)
        size = (features[0].height, features[0].width)
        frames = [f.features for f in features]
        began = time.perf_counter()
        clip = self.model.compare(frames)
        said = self._say(clip, text)
        reasoned = time.perf_counter()
        answer = self._decode(clip, frames, said, times, size)
        if timing is not None:
            timing.reason = reasoned - began
            timing.decode = time.perf_counter() - reasoned
        return answer

    def _decode(
        self,
        clip: Clip,
        frames: list[FrameFeatures],
        said: _Said,
        times: NDArray[np.float64],
        size: tuple[int, int],
    ) -> Answer:
        spoken = self.tokenizer.decode(said.ids)
        objects = [
            self._object(clip, frames, said, at, times, size)
            for at, token in enumerate(said.ids)
            if token == self._seg
        ]
        if self.config.object_queries and clip.tracks is not None and not clip.tracks.valid.any():
            objects = []
        objects = [o for o in objects if o.score >= self.config.score_threshold]
        score = max((o.score for o in objects), default=0.0)
        status = Status.OK if objects else Status.NO_OBJECT
        return Answer(spoken, status, score, times, size, objects)

    def _say(self, clip: Clip, question: str) -> _Said:
        """Generate the answer, greedily.

        Raises:
            BadQuestionError: prompt and answer are more than the model's positions.
        """
        parts = build_prompt(self.config.conversation, question + self.config.question_suffix)
        ids = self.tokenizer.encode(parts)
        split = ids.index(IMAGE_ID)
        embed = self.model.get_input_embeddings()
        device = self.model.device
        before, after = (
            embed(torch.tensor([part], device=device, dtype=torch.long))
            for part in (ids[:split], ids[split + 1 :])
        )
        prompt = torch.cat([before, clip.tokens.to(before.dtype), after], dim=1)  # (1, L, E)
        most = self.config.text_config.max_position_embeddings
        if prompt.shape[1] + self.config.max_new_tokens > most:
            raise BadQuestionError(
                f"clip and question take {prompt.shape[1]} tokens and the answer up to "
                f"{self.config.max_new_tokens}; the model has {most} positions"
            )
        out = self.model.generate(
            inputs_embeds=prompt,
            attention_mask=torch.ones(prompt.shape[:2], dtype=torch.long, device=device),
            max_new_tokens=self.config.max_new_tokens,
            do_sample=False,
            eos_token_id=self.tokenizer.eos,
            pad_token_id=self.tokenizer.eos,
            return_dict_in_generate=True,
            output_hidden_states=True,
            output_logits=True,
        )
        generated = out.sequences[0]
        states = torch.stack([step[0][0, -1] for step in out.hidden_states])
        logits = torch.stack([step[0] for step in out.logits]).float()
        chances = logits.log_softmax(-1).gather(1, generated[:, None])[:, 0]
        return _Said(generated.tolist(), states, chances)

    def _object(
        self,
        clip: Clip,
        frames: list[FrameFeatures],
        said: _Said,
        at: int,
        stamps: NDArray[np.float64],
        size: tuple[int, int],
    ) -> AnsweredObject:
        read_at = at if self.config.seg_state == "token" else 0
        seg = self.model.seg_embedding(said.states[read_at])
        # The words between do not tell whether there is an object.
        score = float(said.log_chances[: read_at + 1].sum().exp())
        chosen = None
        if clip.tracks is not None and clip.reasoning is not None:
            logits = self.model.point(seg, clip.reasoning.keys[0], clip.tracks.valid)
            chosen = int(logits.argmax())
            score *= float(logits.float().softmax(-1)[chosen])
        drawn, _ = self.model.draw(clip, frames, seg, chosen)
        masks = self._processor.to_frame(drawn, *size).cpu().numpy()
        scores = self._frame_scores(clip, said, at, chosen)
        active = gate(scores, self.config.gate_threshold)
        return AnsweredObject(masks, scores, active, find_spans(active, stamps, scores), score)

    def _frame_scores(
        self, clip: Clip, said: _Said, at: int, chosen: int | None
    ) -> NDArray[np.float32]:
        """From the [LOC] that follows a [SEG]; all ones where there is none."""
        if self._loc not in said.ids[at:]:
            return np.ones(len(clip.moments), np.float32)
        state = said.states[said.ids.index(self._loc, at)]
        logits = self.model.frame_logits(clip, state, chosen)
        return np.asarray(logits.float().sigmoid().cpu().numpy())


def _check_clip(features: Sequence[EncodedFrame], stamps: Sequence[float]) -> NDArray[np.float64]:
    times = np.asarray(stamps, np.float64)
    if not features or times.shape != (len(features),):
        raise BadFrameError(
            f"{len(features)} frames and stamps of shape {times.shape}; expected as many, not none"
        )
    if not np.isfinite(times).all() or (np.diff(times) <= 0).any():
        raise BadFrameError(f"stamps are {times.tolist()}; expected rising seconds")
    sizes = {(f.height, f.width) for f in features}
    if len(sizes) > 1:
        raise BadFrameError(f"frames of several sizes in one clip: {sorted(sizes)}")
    return times
