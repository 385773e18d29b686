# SPDX-License-Identifier: Apache-2.0
"""Frames to model inputs, and mask logits back to frames.

Shape legend: H, W the frame's size, S SAM's square side, V CLIP's square side, M the logits' side.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

from groundmore_ros.errors import BadFrameError
from groundmore_ros.mora.answer import NO_MASK_LOGIT
from groundmore_ros.mora.configuration import MoraConfig

__all__ = ["FrameInputs", "FrameProcessor", "SamInput"]

CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
SAM_MEAN, SAM_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


class FrameInputs(NamedTuple):
    """One frame as the network's two eyes see it."""

    sam: Tensor  # (3, S, S) float32
    clip: Tensor  # (3, V, V) float32


@dataclass(frozen=True)
class SamInput:
    """What an image encoder sees: the frame in the upper left of a square.

    Attributes:
        side: of the square, pixels.
        unit: what full brightness is divided by before mean and spread are: 1 or 255.
        mean, std: of red, green and blue, in those units.
    """

    side: int
    unit: int = 1
    mean: tuple[float, float, float] = SAM_MEAN
    std: tuple[float, float, float] = SAM_STD


class FrameProcessor:
    """Resizes and normalises frames as LISA does: SAM pads, CLIP crops the centre (or pads)."""

    def __init__(self, config: MoraConfig, sees: SamInput | None = None) -> None:
        """Prepare frames for a model, or for another image encoder in its place."""
        self.sees = sees or SamInput(config.image_size)
        self.side = self.sees.side
        self.clip_side = int(config.vision_config.image_size)
        self.crop = config.clip_crop == "center"

    def __call__(self, frame: NDArray[np.uint8]) -> FrameInputs:
        """Prepare a frame (H, W, 3) uint8 RGB.

        Raises:
            BadFrameError: another shape or type, or an empty frame.
        """
        if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8 or frame.size == 0:
            raise BadFrameError(
                f"frame is {frame.dtype} {frame.shape}; expected uint8 (height, width, 3)"
            )
        image = Image.fromarray(frame)
        return FrameInputs(self._for_sam(image), self._for_clip(image))

    def scaled(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of a frame inside SAM's square."""
        scale = self.side / max(height, width)
        return max(1, int(height * scale + 0.5)), max(1, int(width * scale + 0.5))

    def _for_sam(self, image: Image.Image) -> Tensor:
        height, width = self.scaled(image.height, image.width)
        small = image.resize((width, height), Image.Resampling.BILINEAR)
        return _normalised(small, self.side, self.sees.unit, self.sees.mean, self.sees.std)

    def _for_clip(self, image: Image.Image) -> Tensor:
        side = self.clip_side
        if self.crop:
            scale = side / min(image.width, image.height)
            size = (max(side, int(image.width * scale)), max(side, int(image.height * scale)))
            resized = image.resize(size, Image.Resampling.BICUBIC)
            left, top = (size[0] - side) // 2, (size[1] - side) // 2
            resized = resized.crop((left, top, left + side, top + side))
        else:
            scale = side / max(image.width, image.height)
            size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
            resized = image.resize(size, Image.Resampling.BICUBIC)
        return _normalised(resized, side, 255, CLIP_MEAN, CLIP_STD)

    def to_frame(self, logits: Tensor, height: int, width: int) -> Tensor:
        """Mask logits (T, M, M) of the square to frames (T, H, W): enlarge, crop, resize."""
        if logits.device.type != "cpu":
            return self._to_frame(logits, height, width)
        # One at a time: a clip's enlarged squares do not fit a CPU's caches.
        if logits.shape[-1] != self.side:
            return torch.cat([self._to_frame(one, height, width) for one in logits[:, None]])
        inner = self.scaled(height, width)
        down, across = _Stretch(inner[0], height), _Stretch(inner[1], width)
        frames = logits.new_full((len(logits), height, width), NO_MASK_LOGIT, dtype=torch.float32)
        for one, frame in zip(logits.float(), frames, strict=True):
            _paint(one[: inner[0], : inner[1]] - NO_MASK_LOGIT, frame, down, across)
        return frames

    def _to_frame(self, logits: Tensor, height: int, width: int) -> Tensor:
        inner = self.scaled(height, width)
        square = functional.interpolate(
            logits[:, None].float(), (self.side, self.side), mode="bilinear", align_corners=False
        )
        cropped = square[..., : inner[0], : inner[1]]
        return functional.interpolate(
            cropped, (height, width), mode="bilinear", align_corners=False
        )[:, 0]


class _Stretch:
    """Bilinear resizing of one side, as a matrix (after, before)."""

    def __init__(self, before: int, after: int) -> None:
        at = ((torch.arange(after, dtype=torch.double) + 0.5) * before / after - 0.5).clamp(min=0)
        self.low = at.long().clamp(max=before - 1)
        self.high = (self.low + 1).clamp(max=before - 1)
        share = (at - self.low).float()
        self.weights = torch.zeros(after, before)
        self.weights[torch.arange(after), self.low] = 1 - share
        self.weights[torch.arange(after), self.high] += share

    def reached(self, first: int, last: int) -> slice:
        """The part of the resized side that pixels first..last have a share in."""
        start = int(torch.searchsorted(self.high, first))
        return slice(start, int(torch.searchsorted(self.low, last, right=True)))


def _paint(drawn: Tensor, frame: Tensor, down: _Stretch, across: _Stretch) -> None:
    """Add what is drawn (h, w) to a frame (H, W), resized.

    An object's box is a small part of most frames, and the rest needs no arithmetic.
    """
    rows, columns = (drawn != 0).nonzero(as_tuple=True)
    if not len(rows):
        return
    (top, bottom), (left, right) = ([int(v) for v in x.aminmax()] for x in (rows, columns))
    box = drawn[top : bottom + 1, left : right + 1]
    y, x = down.reached(top, bottom), across.reached(left, right)
    resized = down.weights[y, top : bottom + 1] @ box @ across.weights[x, left : right + 1].T
    frame[y, x] += resized


def _normalised(
    image: Image.Image, side: int, unit: int, mean: Sequence[float], std: Sequence[float]
) -> Tensor:
    """A picture in the upper left of a square (3, side, side), in units, normalised.

    The rest is zero after normalising, exactly as in training: what is nearly zero is blown up by
    the first layer's normalisation.
    """
    square = torch.zeros(3, side, side)
    pixels = square[:, : image.height, : image.width]
    pixels.copy_(torch.from_numpy(np.array(image)).permute(2, 0, 1))
    if unit != 1:
        pixels /= unit
    pixels -= torch.tensor(mean)[:, None, None]
    pixels /= torch.tensor(std)[:, None, None]
    return square
