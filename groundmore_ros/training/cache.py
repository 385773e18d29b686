# SPDX-License-Identifier: Apache-2.0
"""What the frozen perception sees in each episode, kept so that reasoning trains on it for hours.

Shape legend: T frames, K tracks, D width of object queries.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from groundmore_ros.errors import SourceError
from groundmore_ros.mora.modeling import MoraForCausalLM
from groundmore_ros.mora.objects import FrameObjects
from groundmore_ros.mora.tracking import Tracks, link
from groundmore_ros.simulation.shards import open_shard
from groundmore_ros.training.data import normalised
from groundmore_ros.training.precision import cpu_autocast

__all__ = ["CachedEpisode", "cache_shards", "load_cache"]

MATCH_IOU = 0.3  # a found box is of the object whose box it overlaps at least this much


class CachedEpisode(NamedTuple):
    """One episode as reasoning sees it, with what is true of its tracks.

    Attributes:
        queries: (K, T, D) float16.
        boxes: (K, T, 4) float16, centres and sizes (x, y, w, h) as shares of the square's side.
        scores: (K, T) float16.
        present: (K, T) bool.
        valid: (K,) bool.
        pictures: (T, h, w, 3) uint8, small, for the CLIP tower.
        track_of: (objects + 1,) int8, the track of object k; -1 where it was not found.
        object_of: (K,) int8, the object of each track, from 1; 0 for none.
        active: (T, objects) bool, places (T, objects, 3), causes (objects,), facts (objects, F): as
            in the shards.
        stamps: (T,) s.
        note: seed, objects and questions.
    """

    queries: NDArray[np.float16]
    boxes: NDArray[np.float16]
    scores: NDArray[np.float16]
    present: NDArray[np.bool_]
    valid: NDArray[np.bool_]
    pictures: NDArray[np.uint8]
    track_of: NDArray[np.int8]
    object_of: NDArray[np.int8]
    active: NDArray[np.bool_]
    places: NDArray[np.float32]
    causes: NDArray[np.int8]
    facts: NDArray[np.float32]
    stamps: NDArray[np.float64]
    note: dict[str, Any]


def cache_shards(
    model_folder: Path, jobs: list[tuple[Path, Path]], workers: int, on_done: Callable[[int], None]
) -> None:
    """Run perception over shards and save what it saw; files that are there are kept.

    Args:
        model_folder: a saved model whose perception is trained.
        jobs: shards, and the files to write.
        workers: processes, of one thread each.
        on_done: told the number of finished shards.
    """
    missing = [job for job in jobs if not job[1].exists()]
    done = len(jobs) - len(missing)
    on_done(done)
    if not missing:
        return
    context = get_context("spawn")
    with ProcessPoolExecutor(workers, context, _load_worker, (model_folder,)) as pool:
        for finished in as_completed([pool.submit(_cache_shard, *job) for job in missing]):
            finished.result()
            done += 1
            on_done(done)


_worker_model: MoraForCausalLM


def _load_worker(folder: Path) -> None:
    global _worker_model
    torch.set_num_threads(1)
    _worker_model = MoraForCausalLM.from_pretrained(folder).eval()
    _worker_model.segmenter.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


@torch.inference_mode()
def _cache_shard(shard: Path, target: Path) -> None:
    model = _worker_model
    truth = open_shard(shard)
    frames, masks, notes = truth["frames"], truth["masks"], truth["notes"]
    episodes = []
    for e, note in enumerate(notes):
        tracks = _tracks(model, frames[e])
        object_of, track_of = _labels(
            tracks, masks[e], len(note["objects"]), model.config.image_size
        )
        episodes.append(
            CachedEpisode(
                queries=tracks.queries.half().numpy(),
                boxes=tracks.boxes.half().numpy(),
                scores=tracks.scores.half().numpy(),
                present=tracks.present.numpy(),
                valid=tracks.valid.numpy(),
                pictures=_small(frames[e], model.config.vision_config.image_size),
                track_of=track_of,
                object_of=object_of,
                active=truth["active"][e],
                places=truth["places"][e],
                causes=truth["causes"][e],
                facts=truth["facts"][e],
                stamps=truth["stamps"],
                note=note,
            )
        )
    temporary = target.with_suffix(".part")
    torch.save([e._asdict() for e in episodes], temporary)
    temporary.rename(target)


def load_cache(files: Sequence[Path]) -> list[CachedEpisode]:
    """Read what :func:`cache_shards` wrote.

    Raises:
        SourceError: another version wrote it.
    """
    episodes: list[CachedEpisode] = []
    for file in files:
        # Written by this module on this machine: plain arrays and dictionaries.
        loaded = torch.load(file, weights_only=False)
        if loaded and set(loaded[0]) != set(CachedEpisode._fields):
            raise SourceError(f"{file} is of another version; delete it, and it is made anew")
        episodes.extend(CachedEpisode(**e) for e in loaded)
    return episodes


def _tracks(model: MoraForCausalLM, frames: NDArray[np.uint8]) -> Tracks:
    side = model.config.image_size
    batch = torch.from_numpy(normalised(frames, side)).permute(0, 3, 1, 2)
    batch = batch.contiguous(memory_format=torch.channels_last)
    with cpu_autocast():
        embedding = model.segmenter.encode(batch)
    found = model.object_queries(embedding.float())
    single = [FrameObjects(*(field[t] for field in found)) for t in range(len(frames))]
    tracks, _ = link(single, model.config.object_queries)
    return tracks


def _small(frames: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    height, width = frames.shape[1:3]
    size = (round(width * side / max(height, width)), round(height * side / max(height, width)))
    return np.stack(
        [np.asarray(Image.fromarray(f).resize(size, Image.Resampling.BICUBIC)) for f in frames]
    )


def _labels(
    tracks: Tracks, masks: NDArray[np.uint8], objects: int, side: int
) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
    """Which object each track follows, by most overlapping boxes, and the best track of each."""
    count, steps = tracks.present.shape
    votes = np.zeros((count, objects + 1), int)
    boxes, present = tracks.boxes, tracks.present
    for t in range(steps):
        truth, numbers = _truth_boxes(masks[t], objects, side)
        if not len(numbers):
            continue
        overlap = _box_iou(boxes[:, t], truth)  # (K, seen objects)
        best = overlap.max(dim=1)
        for k in range(count):
            if present[k, t] and best.values[k] > MATCH_IOU:
                votes[k, numbers[int(best.indices[k])]] += 1
    object_of = np.where(votes.max(1) > 0, votes.argmax(1), 0).astype(np.int8)
    track_of = np.full(objects + 1, -1, np.int8)
    for k in range(1, objects + 1):
        if votes[:, k].max() > 0:
            track_of[k] = votes[:, k].argmax()
    return object_of, track_of


def _truth_boxes(mask: NDArray[np.uint8], objects: int, side: int) -> tuple[Tensor, list[int]]:
    boxes, numbers = [], []
    for k in range(1, objects + 1):
        rows, columns = np.nonzero(mask == k)
        if len(rows):
            left, right, top, bottom = columns.min(), columns.max() + 1, rows.min(), rows.max() + 1
            boxes.append([left + right, top + bottom, 2 * (right - left), 2 * (bottom - top)])
            numbers.append(k)
    return torch.tensor(np.array(boxes), dtype=torch.float32) / (2 * side), numbers


def _box_iou(first: Tensor, second: Tensor) -> Tensor:
    """(A, B) overlaps of boxes (A, 4) and (B, 4) given by centre and size."""
    low = torch.maximum(
        (first[:, None, :2] - first[:, None, 2:] / 2),
        (second[None, :, :2] - second[None, :, 2:] / 2),
    )
    high = torch.minimum(
        (first[:, None, :2] + first[:, None, 2:] / 2),
        (second[None, :, :2] + second[None, :, 2:] / 2),
    )
    both = (high - low).clamp(min=0).prod(-1)
    areas = first[:, 2:].prod(-1)[:, None] + second[:, 2:].prod(-1)[None]
    return both / (areas - both).clamp(min=1e-9)
