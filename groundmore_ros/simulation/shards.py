# SPDX-License-Identifier: Apache-2.0
"""Episodes as compact arrays for training: one ``.npz`` file for each run of consecutive seeds.

Arrays of a shard of N episodes (K is the most objects of any of them):
    frames (N, T, H, W, 3) uint8, masks (N, T, H, W) uint8, stamps (T,) float64,
    active (N, T, K) bool: object k is in motion and seen at the frame,
    places (N, T, K, 3) float32: centres, m, world frame,
    upright (N, T, K) float32: cosine of the angle between a body's axis and the vertical,
    facts (N, K, F) float32: see :mod:`groundmore_ros.simulation.facts`,
    causes (N, K) int8: what set object k in motion (itself: k), -1 where unclear or nothing,
    notes: UTF-8 JSON, for each episode its seed, objects and questions.
"""

import json
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundmore_ros.errors import SourceError
from groundmore_ros.simulation.episode import Episode, generate
from groundmore_ros.simulation.facts import facts

__all__ = ["SHARD_SIZE", "open_shard", "shard_path", "write_shards"]

SHARD_SIZE = 50
MOST_OBJECTS = 8
ARRAYS = frozenset(
    {"frames", "masks", "stamps", "active", "places", "upright", "facts", "causes", "notes"}
)


def shard_path(folder: Path, first_seed: int) -> Path:
    """Where the shard that begins with a seed lies."""
    return folder / f"episodes-{first_seed:08d}.npz"


def write_shards(
    folder: Path,
    seeds: range,
    settings: dict[str, Any],
    workers: int,
    on_done: Callable[[int], None] = lambda count: None,
) -> None:
    """Generate episodes into shards; shards that are there already are kept.

    Args:
        folder: is created where it is missing.
        seeds: consecutive; cut into runs of SHARD_SIZE.
        settings: of :func:`groundmore_ros.simulation.generate`.
        workers: processes.
        on_done: told the number of episodes after each shard.
    """
    folder.mkdir(parents=True, exist_ok=True)
    runs = [seeds[i : i + SHARD_SIZE] for i in range(0, len(seeds), SHARD_SIZE)]
    missing = [run for run in runs if not shard_path(folder, run[0]).exists()]
    on_done(len(seeds) - sum(map(len, missing)))
    if not missing:
        return
    job = partial(_write_shard, folder, settings)
    # Rendering contexts do not survive a fork.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for done in as_completed([pool.submit(job, run) for run in missing]):
            on_done(done.result())


def _write_shard(folder: Path, settings: dict[str, Any], seeds: range) -> int:
    path = shard_path(folder, seeds[0])
    episodes = [generate(seed, **settings) for seed in seeds]
    temporary = path.with_suffix(".part")
    with temporary.open("wb") as file:
        np.savez(file, **_arrays(episodes))  # type: ignore[arg-type]
    temporary.rename(path)
    return len(seeds)


def _arrays(episodes: Iterable[Episode]) -> dict[str, NDArray[Any]]:
    every = list(episodes)
    notes = json.dumps([_note(e) for e in every]).encode()
    return {
        "frames": np.stack([e.frames for e in every]),
        "masks": np.stack([e.object_masks for e in every]),
        "stamps": every[0].stamps,
        "active": np.stack([_padded(e.active, 1) for e in every]),
        "places": np.stack([_padded(e.places.astype(np.float32), 1) for e in every]),
        "upright": np.stack([_padded(e.upright.astype(np.float32), 1) for e in every]),
        "facts": np.stack(
            [_padded(facts(e.motion, e.scene.bodies, e.settings.duration), 0) for e in every]
        ),
        "causes": np.stack([_padded(_causes(e), 0, fill=-1) for e in every]),
        "notes": np.frombuffer(notes, np.uint8),
    }


def _causes(episode: Episode) -> NDArray[np.int8]:
    return np.array([-1 if c is None else c for c in episode.motion.causes], np.int8)


def _padded(values: NDArray[Any], axis: int, fill: int = 0) -> NDArray[Any]:
    pad = [(0, 0)] * values.ndim
    pad[axis] = (0, MOST_OBJECTS - values.shape[axis])
    return np.pad(values, pad, constant_values=fill)


def _note(episode: Episode) -> dict[str, Any]:
    return {
        "seed": episode.seed,
        "objects": [{"colour": b.colour, "shape": b.shape} for b in episode.scene.bodies],
        "questions": [asdict(q) for q in episode.questions],
    }


def open_shard(path: Path) -> dict[str, Any]:
    """A shard's arrays, and its notes read.

    Raises:
        SourceError: it was written by another version.
    """
    with np.load(path) as file:
        missing = sorted(ARRAYS - set(file.files))
        if missing:
            raise SourceError(
                f"{path} is of another version: it has no {', '.join(missing)}; delete it, and it "
                "is made anew"
            )
        arrays = {name: file[name] for name in ARRAYS}
    return arrays | {"notes": json.loads(bytes(arrays["notes"]).decode())}
