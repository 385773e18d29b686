# SPDX-License-Identifier: Apache-2.0
"""First stage: the image encoder, object queries and mask decoder learn to see objects.

Everything is learned from masks; the names of colours and shapes, and where and how objects stand,
are auxiliary losses only, through heads that are not part of the model.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from groundmore_ros.mora.configuration import MoraConfig
from groundmore_ros.mora.objects import ObjectQueries, columns_at
from groundmore_ros.mora.segmentation import Segmenter
from groundmore_ros.training.data import (
    COLOUR_NAMES,
    PLACE_UNIT,
    SHAPE_NAMES,
    UNNAMED,
    FrameSample,
    normalised,
)
from groundmore_ros.training.trainer import StepResult

__all__ = ["Drawing", "Perception", "PerceptionBatch", "collate"]

LEAST_AREA = 6  # pixels, smaller remainders of objects are not looked for
IDENTITY_TEMPERATURE = 0.1


class PerceptionBatch(NamedTuple):
    """Frames and the objects seen in them. B frames, N objects in all of them together.

    Attributes:
        pixels: (B, 3, S, S) normalised.
        frame: (N,) the frame that each object is in.
        box: (N, 4) centre x, centre y, width, height, shares of the side.
        mask: (N, S, S) float.
        looks: (N, 2) colour and shape, or UNNAMED: then the pose is not known either.
        pose: (N, 3) how far away and how high the centre is, in units of PLACE_UNIT, world frame;
            how upright it stands, 0 to 1. Not how far to the right: episodes may be mirrored later.
        identity: (N,) one number for each object of each episode.
        episode: (N,) which episode it is of.
    """

    pixels: Tensor
    frame: Tensor
    box: Tensor
    mask: Tensor
    looks: Tensor
    pose: Tensor
    identity: Tensor
    episode: Tensor


def collate(samples: list[FrameSample], side: int, rng: np.random.Generator) -> PerceptionBatch:
    """Put samples into a batch, with changed brightness and colour balance.

    Frames must fill the square's width; they are padded below as the processor pads.
    """
    pictures: list[NDArray[np.float32]] = []
    seen: list[_Seen] = []
    for e, sample in enumerate(samples):
        gain = (rng.uniform(0.85, 1.15) * rng.uniform(0.95, 1.05, 3)).astype(np.float32)
        for t, picture in enumerate(sample.frames):
            seen += _objects(sample, t, side, frame=len(pictures), episode=e)
            pictures.append(normalised(np.clip(picture * gain, 0, 255), side))
    frame, box, mask, looks, pose, identity, episode = zip(*seen, strict=True)
    return PerceptionBatch(
        pixels=torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous(),
        frame=torch.tensor(frame),
        box=torch.tensor(np.array(box), dtype=torch.float32),
        mask=torch.from_numpy(np.array(mask)).float(),
        looks=torch.stack(looks),
        pose=torch.tensor(np.array(pose), dtype=torch.float32),
        identity=torch.tensor(identity),
        episode=torch.tensor(episode),
    )


class _Seen(NamedTuple):
    """One object in one frame, as PerceptionBatch holds it."""

    frame: int
    box: tuple[float, float, float, float]
    mask: NDArray[np.bool_]
    looks: Tensor
    pose: tuple[float, float, float]
    identity: int
    episode: int


def _objects(
    sample: FrameSample, t: int, side: int, *, frame: int, episode: int
) -> Iterator[_Seen]:
    """The objects of a frame that are large enough to be looked for."""
    numbers = sample.masks[t]
    height, width = numbers.shape
    for number, looks in enumerate(sample.looks, start=1):
        mask = numbers == number
        if mask.sum() < LEAST_AREA:
            continue
        yield _Seen(
            frame=frame,
            box=_box(mask, side),
            mask=np.pad(mask, ((0, side - height), (0, side - width))),
            looks=looks,
            pose=(*sample.places[t, number - 1, 1:] / PLACE_UNIT, sample.upright[t, number - 1]),
            identity=100 * episode + number,
            episode=episode,
        )


def _box(mask: NDArray[np.bool_], side: int) -> tuple[float, float, float, float]:
    rows, columns = np.nonzero(mask)
    top, bottom, left, right = rows.min(), rows.max() + 1, columns.min(), columns.max() + 1
    return (
        (left + right) / 2 / side,
        (top + bottom) / 2 / side,
        (right - left) / side,
        (bottom - top) / side,
    )


class Perception(nn.Module):
    """The parts that are trained together, with their losses."""

    def __init__(self, config: MoraConfig, segmenter: Segmenter, queries: ObjectQueries) -> None:
        super().__init__()
        self.segmenter, self.queries = segmenter, queries
        self.colour = nn.Linear(config.object_dim, len(COLOUR_NAMES))
        self.shape = nn.Linear(config.object_dim, len(SHAPE_NAMES))
        self.pose = nn.Linear(config.object_dim, 3)

    def forward(self, batch: PerceptionBatch, drawn: int) -> StepResult:
        """The losses of a batch; masks of at most ``drawn`` objects are decoded."""
        embedding = self.segmenter.encode(batch.pixels)
        logits, geometry, queries = (m.float() for m in self.queries.maps(embedding))
        side = logits.shape[-1]
        target = _heat(batch, len(batch.pixels), side)
        cell = _cells(batch, side)
        picked = _at_cells(queries, batch.frame, cell)
        boxes = self.queries.boxes_at(geometry[batch.frame], cell[:, None], side)[:, 0]
        has_name = batch.looks[:, 0] != UNNAMED
        named, looks = picked[has_name], batch.looks[has_name]
        losses = {
            "objectness": _focal(logits, target),
            "box": functional.l1_loss(boxes, batch.box) * 40,
            "colour": functional.cross_entropy(self.colour(named), looks[:, 0]) * 0.3,
            "shape": functional.cross_entropy(self.shape(named), looks[:, 1]) * 0.5,
            "pose": functional.smooth_l1_loss(self.pose(named), batch.pose[has_name], beta=0.1),
            "identity": self._identity(picked, batch) * 0.3,
        }
        drawing, overlap = self.draw(embedding, picked, boxes.detach(), batch, drawn)
        losses |= drawing
        right = [
            (head(named).argmax(1) == looks[:, i]).float().mean()
            for i, head in enumerate((self.colour, self.shape))
        ]
        return StepResult(
            losses, {"iou": overlap, "colour_right": right[0], "shape_right": right[1]}
        )

    def draw(
        self, embedding: Tensor, picked: Tensor, boxes: Tensor, batch: PerceptionBatch, drawn: int
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Losses of the masks of some objects, and their mean IoU."""
        chosen = torch.randperm(len(batch.frame))[:drawn]
        prompts = self.prompts(picked[chosen], boxes[chosen])
        masks, quality = self.segmenter.decode(embedding[batch.frame[chosen]], prompts)
        masks, quality = masks.float(), quality.float()
        truth = functional.interpolate(batch.mask[chosen, None], masks.shape[-2:], mode="area")[
            :, 0
        ]
        overlap = _iou(masks.detach() > 0, truth > 0.5)
        losses = {
            "mask": functional.binary_cross_entropy_with_logits(masks, truth) * 8,
            "dice": _dice(masks, truth),
            "quality": functional.mse_loss(quality, overlap),
        }
        return losses, overlap.mean()

    def prompts(self, queries: Tensor, boxes: Tensor) -> Tensor:
        """What asks SAM's decoder for the objects: (N, 4, C)."""
        return self.queries.prompts(self.segmenter.box_code(boxes), queries)

    def _identity(self, picked: Tensor, batch: PerceptionBatch) -> Tensor:
        """Contrast between objects of one episode, across its frames."""
        code = functional.normalize(self.queries.identity(picked), dim=-1)
        likeness = code @ code.T / IDENTITY_TEMPERATURE
        other_frame = batch.frame[:, None] != batch.frame
        comparable = other_frame & (batch.episode[:, None] == batch.episode)
        same = comparable & (batch.identity[:, None] == batch.identity)
        likeness = likeness.masked_fill(~comparable, -1e4)
        log_share = likeness - likeness.logsumexp(1, keepdim=True)
        positives = same.sum(1)
        found = -(log_share * same).sum(1) / positives.clamp(min=1)
        return found[positives > 0].mean()


class Drawing(nn.Module):
    """The mask decoder alone, on what the trained encoder and queries see as they will be used."""

    def __init__(self, perception: Perception) -> None:
        super().__init__()
        self.perception = perception.eval().requires_grad_(False)
        segmenter = perception.segmenter
        for part in (
            segmenter.mask_decoder,
            segmenter.prompt_encoder.no_mask_embed,
            segmenter.prompt_encoder.point_embed,
            perception.queries.prompt,
        ):
            part.requires_grad_(True)

    def forward(self, batch: PerceptionBatch, drawn: int) -> StepResult:
        """The losses of the masks of at most ``drawn`` objects."""
        seen = self.perception
        with torch.no_grad():
            embedding = seen.segmenter.encode(batch.pixels)
            _, geometry, queries = (m.float() for m in seen.queries.maps(embedding))
            cell = _cells(batch, geometry.shape[-1])
            picked = _at_cells(queries, batch.frame, cell)
            boxes = seen.queries.boxes_at(geometry[batch.frame], cell[:, None], geometry.shape[-1])
        losses, overlap = seen.draw(embedding, picked, boxes[:, 0], batch, drawn)
        return StepResult(losses, {"iou": overlap})


def _cells(batch: PerceptionBatch, side: int) -> Tensor:
    """Cells (N,) of the objects' centres, moved by up to one so that neighbours learn as well."""
    jitter = torch.randint(-1, 2, (len(batch.frame), 2)) * (torch.rand(len(batch.frame), 1) < 0.3)
    at = (batch.box[:, :2] * side).long() + jitter
    at = at.clamp(0, side - 1)
    return at[:, 1] * side + at[:, 0]


def _at_cells(maps: Tensor, frame: Tensor, cell: Tensor) -> Tensor:
    return columns_at(maps[frame], cell[:, None])[:, 0]


def _heat(batch: PerceptionBatch, frames: int, side: int) -> Tensor:
    """Gaussian bumps (B, G, G) at the objects' centres, as wide as a sixth of the objects."""
    grid = torch.arange(side)
    centre = (batch.box[:, :2] * side).long()
    spread = (batch.box[:, 2:] * side / 6).clamp(min=0.6)
    x = torch.exp(-((grid - centre[:, :1]) ** 2) / (2 * spread[:, :1] ** 2))
    y = torch.exp(-((grid - centre[:, 1:]) ** 2) / (2 * spread[:, 1:] ** 2))
    bumps = y[:, :, None] * x[:, None, :]
    heat = torch.zeros(frames, side * side)
    index = batch.frame[:, None].expand(-1, side * side)
    return heat.scatter_reduce(0, index, bumps.flatten(1), "amax").view(frames, side, side)


def _focal(logits: Tensor, target: Tensor) -> Tensor:
    """Penalty-reduced focal loss of Zhou et al., "Objects as Points" (2019), equation 1."""
    chance = logits.sigmoid().clamp(1e-4, 1 - 1e-4)
    peak = target >= 0.999
    found = -((1 - chance) ** 2) * chance.log() * peak
    missed = -((1 - target) ** 4) * chance**2 * (1 - chance).log() * ~peak
    return (found + missed).sum() / peak.sum().clamp(min=1)


def _dice(logits: Tensor, truth: Tensor) -> Tensor:
    chance = logits.sigmoid().flatten(1)
    truth = truth.flatten(1)
    return (1 - (2 * (chance * truth).sum(1) + 1) / (chance.sum(1) + truth.sum(1) + 1)).mean()


def _iou(first: Tensor, second: Tensor) -> Tensor:
    both = (first & second).flatten(1).sum(1)
    either = (first | second).flatten(1).sum(1)
    return both / either.clamp(min=1)
