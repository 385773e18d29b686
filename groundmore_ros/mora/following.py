# SPDX-License-Identifier: Apache-2.0
"""An answered object, masked in frames that come after the answer."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from groundmore_ros.mora.answer import NO_MASK_LOGIT
from groundmore_ros.mora.modeling import FrameFeatures, MoraForCausalLM, Seen
from groundmore_ros.mora.processing import FrameProcessor
from groundmore_ros.mora.tracking import Linker, LiveTrack

__all__ = ["EncodedFrame", "Follower", "Prompt"]


class EncodedFrame(NamedTuple):
    """Features of one frame, and the frame's size."""

    features: FrameFeatures
    height: int
    width: int

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return self.features.nbytes

    @property
    def on_host(self) -> bool:
        """Whether they are held in this machine's memory, not on a device of its own."""
        return self.features.embedding.device.type == "cpu"


class Prompt(NamedTuple):
    """What an object's masks are drawn from.

    Attributes:
        seg: (C,) the [SEG] embedding; where each frame had its own, that of the last.
        chosen: the track that is meant, where the model looks for objects.
        linker: the clip's tracks, likewise.
    """

    seg: Tensor
    chosen: int | None
    linker: Linker | None


class Follower:
    """Draws one object in frame after frame: an encoder's and a decoder's work, no words."""

    def __init__(self, model: MoraForCausalLM, processor: FrameProcessor, prompt: Prompt) -> None:
        self._model, self._processor, self._prompt = model, processor, prompt
        self._track: LiveTrack | None = None
        if prompt.linker is not None and prompt.chosen is not None:
            self._track = prompt.linker.keep(prompt.chosen)

    @torch.inference_mode()
    def pass_by(self, frame: EncodedFrame) -> int | None:
        """Look for the object in the next frame without drawing it: which of the frame's it is."""
        if self._track is None:
            return None
        found = frame.features.objects
        assert found is not None, "a model that looks for objects finds some in every frame"
        return self._track.see(found)

    @torch.inference_mode()
    def see(self, frame: EncodedFrame) -> NDArray[np.float32]:
        """Mask logits (H, W) in the next frame; very negative where the object is not there."""
        seen = None
        if self._track is not None:
            found, at = frame.features.objects, self.pass_by(frame)
            if found is None or at is None:
                return np.full((frame.height, frame.width), NO_MASK_LOGIT, np.float32)
            there = torch.ones(1, dtype=torch.bool, device=found.boxes.device)
            seen = Seen(found.boxes[at : at + 1], found.queries[at : at + 1], there)
        drawn, _ = self._model.draw([frame.features], self._prompt.seg, seen)
        logits = self._processor.to_frame(drawn, frame.height, frame.width)
        return np.asarray(logits[0].cpu().numpy())
