# SPDX-License-Identifier: Apache-2.0
"""The facade: frames and a question in, an answer out."""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from groundmore_ros.errors import BadFrameError, GroundmoreError, ModelError
from groundmore_ros.mora.answer import Answer, AnsweredObject, Status, find_spans, gate
from groundmore_ros.mora.backends.opening import Where, use_backends
from groundmore_ros.mora.conversation import build_prompt
from groundmore_ros.mora.following import EncodedFrame, Follower, Prompt
from groundmore_ros.mora.generation import Said, generate, prefill, prompt_embeddings
from groundmore_ros.mora.loading import DTYPES, LoadOptions, load
from groundmore_ros.mora.modeling import ABSENT_LOGIT, Clip, FrameFeatures, MoraForCausalLM
from groundmore_ros.mora.processing import FrameProcessor, SamInput
from groundmore_ros.mora.question import check_question
from groundmore_ros.mora.tokenization import MoraTokenizer
from groundmore_ros.mora.zoo import resolve_model

__all__ = ["EncodedFrame", "Mora"]

REASONINGS = ("generate", "prefill")
# From a [SEG] embedding (C,), and the track that it means, to mask logits (T, M, M).
_Draw = Callable[[Tensor, int | None], Tensor]


class Timing(Protocol):
    """Takes note of where the time went, s."""

    reason: float
    decode: float


class Mora:
    """A loaded model that answers questions about clips.

    Several threads may encode and answer at once; they share the weights and nothing else.
    """

    def __init__(
        self,
        model: MoraForCausalLM,
        tokenizer: MoraTokenizer,
        name: str = "mora",
        *,
        reasoning: str = "generate",
        sees: SamInput | None = None,
        feature_dtype: str = "auto",
    ) -> None:
        if reasoning not in REASONINGS:
            raise ModelError(f"reasoning is {reasoning!r}; expected one of {', '.join(REASONINGS)}")
        if reasoning == "prefill" and "{" in model.config.answer_template:
            raise ModelError(
                f"{name} chooses words of its answer ({model.config.answer_template!r}), so it "
                "cannot be prefilled; expected reasoning: generate"
            )
        if feature_dtype not in DTYPES:
            raise ModelError(
                f"feature_dtype is {feature_dtype!r}; expected one of {', '.join(DTYPES)}"
            )
        self._stored = DTYPES[feature_dtype]
        self.model = model.eval().requires_grad_(False)
        self.tokenizer = tokenizer
        self.name = name
        self.reasoning = reasoning
        self.config = model.config
        self._processor = FrameProcessor(model.config, sees)
        self._seg = tokenizer.id_of(model.config.seg_token)
        self._loc = tokenizer.id_of(model.config.loc_token) if model.config.temporal_head else -1

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path,
        *,
        encoder: str = "torch",
        decoder: str = "torch",
        engines: str | Path | None = None,
        provider: str = "auto",
        target: str = "discrete",
        reasoning: str = "generate",
        feature_dtype: str = "auto",
        **options: Any,
    ) -> "Mora":
        """Load a model that is on this machine, in our layout or in LISA's.

        Args:
            name: a folder, the name of a shipped model, or a hub id in the local cache.
            encoder: the back end of SAM's image encoder: ``torch``, ``onnx``, ``tensorrt``, or
                either of these with ``:FILE``.
            decoder: likewise of SAM's mask decoder.
            engines: folder of the exported files; by default the model's in the user's cache.
            provider: of ONNX Runtime: ``auto`` (the device's), ``cpu``, ``cuda`` or ``tensorrt``.
            target: the machine that TensorRT's engines were built for, by name or file.
            reasoning: ``generate`` (the answer is generated) or ``prefill`` (it is the template,
                read in one pass).
            feature_dtype: precision that frames' features are kept in: ``auto`` (as computed),
                ``float16`` (half the memory), ``bfloat16`` or ``float32``.
            **options: fields of :class:`~groundmore_ros.mora.loading.LoadOptions`: device, dtype,
                vision_tower, conversation, quantization, strict and others.

        Raises:
            ModelError: it is not there, does not fit together, or is asked for what is not built.
            MissingDependencyError: an option needs a package that is not installed.
        """
        folder = resolve_model(str(name))
        chosen = LoadOptions(**options)
        try:
            model, tokenizer = load(folder, chosen)
        except GroundmoreError:
            raise
        except Exception as error:  # what damaged files and absent devices raise has no base
            raise ModelError(f"{folder} cannot be loaded: {error}") from error
        where = Where(str(name), chosen.place, Path(engines) if engines else None, provider, target)
        sees = use_backends(model.segmenter, {"encoder": encoder, "decoder": decoder}, where)
        return cls(
            model,
            tokenizer,
            Path(name).name,
            reasoning=reasoning,
            sees=sees,
            feature_dtype=feature_dtype,
        )

    @property
    def backends(self) -> dict[str, str]:
        """What really runs SAM's encoder and decoder."""
        graphs = self.model.segmenter.graphs
        device = f"torch ({self.model.device})"
        return {n: graphs[n].where if n in graphs else device for n in ("encoder", "decoder")}

    def encode(self, frame: NDArray[np.uint8]) -> EncodedFrame:
        """Features of a frame (H, W, 3) uint8 RGB; they depend on that frame alone.

        Raises:
            BadFrameError: another shape or type.
        """
        inputs = self._processor(frame)
        device = self.model.device
        with torch.inference_mode():
            features = self.model.encode_frames(
                inputs.sam[None].to(device), inputs.clip[None].to(device)
            )
        kept = features[0].stored(self._stored) if self._stored else features[0]
        return EncodedFrame(kept, frame.shape[0], frame.shape[1])

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
        return next(self.answer_many(features, stamps, [question], timing=timing))

    @torch.inference_mode()
    def answer_many(
        self,
        features: Sequence[EncodedFrame],
        stamps: Sequence[float],
        questions: Sequence[str],
        *,
        timing: Timing | None = None,
    ) -> Iterator[Answer]:
        """Answers to several questions about one clip: it is compared once, words come in batches.

        Masks are drawn when an answer is asked for, so that those of one are held at a time.

        Args:
            features: T, from :meth:`encode`.
            stamps: T, s, rising.
            questions: each as a person would ask it.
            timing: where the seconds are noted that all spent reasoning and the last one decoding.
        """
        texts = [check_question(q) for q in questions]
        times = _check_clip(features, stamps)
        size = (features[0].height, features[0].width)
        frames = [f.features for f in features]
        began = time.perf_counter()
        clip = self.model.compare(frames)
        said = self._say(clip, texts)
        reasoned = time.perf_counter()
        draw = self._drawing(clip, frames)
        for one in said:
            drawing = time.perf_counter()
            answer = self._decode(clip, frames, draw, one, times, size)
            if timing is not None:
                timing.reason = reasoned - began
                timing.decode = time.perf_counter() - drawing
            yield answer

    def follow(self, prompt: Prompt) -> Follower:
        """Go on masking an answered object in frames that come later, in the order they come."""
        return Follower(self.model, self._processor, prompt)

    def _say(self, clip: Clip, questions: list[str]) -> list[list[Said]]:
        """Ask the language model, about the clip (one answer each) or about each frame alone."""
        prompts: list[Tensor] = []
        for question in questions:
            parts = build_prompt(self.config.conversation, question + self.config.question_suffix)
            prompts += prompt_embeddings(self.model, self.tokenizer, parts, clip.tokens).unbind()
        if self.reasoning == "prefill":
            said = prefill(self.model, self.tokenizer, prompts, self.config.answer_template)
        else:
            said = generate(self.model, self.tokenizer, prompts)
        each = len(said) // len(questions)
        return [said[first : first + each] for first in range(0, len(said), each)]

    def _drawing(self, clip: Clip, frames: list[FrameFeatures]) -> _Draw:
        """How masks (T, M, M) are drawn: a track's once, whichever question means it."""
        tracks: dict[int, Tensor] = {}

        def draw(seg: Tensor, track: int | None) -> Tensor:
            if track is None:
                return self.model.draw(frames, seg, None)[0]
            if track not in tracks:
                tracks[track] = self.model.draw(frames, seg, clip.seen(track))[0]
            return tracks[track]

        return draw

    def _decode(
        self,
        clip: Clip,
        frames: list[FrameFeatures],
        draw: _Draw,
        said: list[Said],
        times: NDArray[np.float64],
        size: tuple[int, int],
    ) -> Answer:
        if clip.tracks is not None and not clip.tracks.valid.any():
            objects = []
        elif self.config.pooling == "frame":
            objects = self._objects_of_frames(frames, said, times, size)
        else:
            objects = [
                self._object(clip, draw, said[0], at, times, size) for at in self._segs(said[0])
            ]
        objects = [o for o in objects if o.score >= self.config.score_threshold]
        score = max((o.score for o in objects), default=0.0)
        status = Status.OK if objects else Status.NO_OBJECT
        spoken = next((s for s in said if self._segs(s)), said[0])
        return Answer(self.tokenizer.decode(spoken.ids), status, score, times, size, objects)

    def _segs(self, said: Said) -> list[int]:
        """Where an answer holds [SEG]: read in one pass, only where the model would say it."""
        return [
            at
            for at, (token, likeliest) in enumerate(zip(said.ids, said.likeliest, strict=True))
            if token == likeliest == self._seg
        ]

    def _object(
        self,
        clip: Clip,
        draw: _Draw,
        said: Said,
        at: int,
        stamps: NDArray[np.float64],
        size: tuple[int, int],
    ) -> AnsweredObject:
        """The object that one [SEG] of a clip's answer means."""
        read_at = at if self.config.seg_state == "token" else 0
        seg = self.model.seg_embedding(said.states[read_at])
        # The words between do not tell whether there is an object.
        score = float(said.log_chances[: read_at + 1].sum().exp())
        chosen = None
        if clip.tracks is not None and clip.reasoning is not None:
            logits = self.model.point(seg, clip.reasoning.keys[0], clip.tracks.valid)
            chosen = int(logits.argmax())
            score *= float(logits.float().softmax(-1)[chosen])
        drawn = draw(seg, chosen)
        scores = self._frame_scores(clip, said, at, chosen)
        prompt = Prompt(seg, chosen, clip.linker)
        return self._answered(drawn, scores, score, stamps, size, prompt)

    def _objects_of_frames(
        self,
        frames: list[FrameFeatures],
        said: list[Said],
        stamps: NDArray[np.float64],
        size: tuple[int, int],
    ) -> list[AnsweredObject]:
        """The first object of every frame, the second, and so on; a frame may have fewer."""
        segs = [self._segs(s) for s in said]
        objects = []
        for i in range(max(map(len, segs))):
            there = [t for t, at in enumerate(segs) if len(at) > i]
            states = torch.stack([said[t].states[segs[t][i]] for t in there])
            masks, _ = self.model.draw(
                [frames[t] for t in there], embeddings := self.model.seg_embedding(states), None
            )
            drawn = masks.new_full((len(frames), *masks.shape[1:]), ABSENT_LOGIT)
            drawn[torch.tensor(there, device=drawn.device)] = masks
            chances = [said[t].log_chances[: segs[t][i] + 1].sum().exp() for t in there]
            score = float(torch.stack(chances).mean())
            scores = np.ones(len(frames), np.float32)
            prompt = Prompt(embeddings[-1], None, None)
            objects.append(self._answered(drawn, scores, score, stamps, size, prompt))
        return objects

    def _answered(
        self,
        drawn: Tensor,
        frame_scores: NDArray[np.float32],
        score: float,
        stamps: NDArray[np.float64],
        size: tuple[int, int],
        prompt: Prompt,
    ) -> AnsweredObject:
        masks = self._processor.to_frame(drawn, *size).cpu().numpy()
        active = gate(frame_scores, self.config.gate_threshold)
        spans = find_spans(active, stamps, frame_scores)
        return AnsweredObject(masks, frame_scores, active, spans, score, prompt)

    def _frame_scores(
        self, clip: Clip, said: Said, at: int, chosen: int | None
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
