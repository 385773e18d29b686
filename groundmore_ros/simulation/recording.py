# SPDX-License-Identifier: Apache-2.0
"""Episodes as bags: compressed frames with stamps, the questions, and the truth.

Topics: ``/image/compressed`` (CompressedImage), ``/mora/question`` (MotionQuestion, at the time it
is to be asked), ``/truth/masks`` (MotionMask, one for each object in each frame; ``object`` counts
from 0), ``/truth/events`` (EventSpan) and ``/truth/answers`` (MotionAnswer). A question's id is
``<seed>-<number>-<Type>``.
"""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from itertools import count
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from groundmore_ros.bags.images import to_jpeg
from groundmore_ros.bags.records import shape_fields, time_fields
from groundmore_ros.bags.writer import BagWriter
from groundmore_ros.errors import GroundmoreError
from groundmore_ros.mora.answer import Status
from groundmore_ros.simulation.episode import Episode, generate
from groundmore_ros.simulation.questions import MOTION_TYPES, Question
from groundmore_ros.simulation.settings import TEST_SEEDS

__all__ = ["CAMERA", "episode_path", "write_bag", "write_bags", "write_samples"]

CAMERA = "/image"
FRAME_ID = "camera"
START = 1_000_000_000_000  # ns, the first episode's first stamp: zero means "no stamp" to ROS
SPACING = 10_000_000_000  # ns, between the first stamps of consecutive seeds
QUALITY = 95
MOST_SAMPLES = 6


def episode_path(folder: Path, seed: int) -> Path:
    """The bag of an episode."""
    return folder / f"episode_{seed:07d}"


def write_bags(
    folder: Path,
    seeds: range,
    settings: dict[str, Any],
    workers: int,
    on_done: Callable[[int], None] = lambda count: None,
) -> None:
    """Generate episodes into bags; bags that are there already are kept.

    Args:
        folder: is created where it is missing.
        seeds: one bag each.
        settings: of :func:`groundmore_ros.simulation.generate`.
        workers: processes.
        on_done: told the number of episodes finished since the last time.
    """
    folder.mkdir(parents=True, exist_ok=True)
    missing = [s for s in seeds if not episode_path(folder, s).exists()]
    on_done(len(seeds) - len(missing))
    if not missing:
        return
    job = partial(_generate_bag, folder, settings)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for done in as_completed([pool.submit(job, seed) for seed in missing]):
            done.result()
            on_done(1)


def _generate_bag(folder: Path, settings: dict[str, Any], seed: int) -> None:
    write_bag(episode_path(folder, seed), generate(seed, **settings))


def write_samples(folder: Path) -> list[int]:
    """Write the first test seeds that together hold all four question types.

    They follow each other as one camera's stream. They are the first ones, not the best ones.
    """
    folder.mkdir(parents=True, exist_ok=True)
    held: set[str] = set()
    seeds: list[int] = []
    for seed in count(TEST_SEEDS.start):
        episode = generate(seed)
        write_bag(episode_path(folder, seed), episode)
        seeds.append(seed)
        held |= {q.type for q in episode.questions}
        if held >= set(MOTION_TYPES) or len(seeds) == MOST_SAMPLES:
            return seeds
    raise AssertionError("count() ends nowhere")


def write_bag(path: Path, episode: Episode) -> None:
    """Write one episode.

    Raises:
        GroundmoreError: the bag exists.
    """
    if path.exists():
        raise GroundmoreError(f"{path} exists already")
    start = START + SPACING * (episode.seed % 1_000_000)
    stamps = [start + round(s * 1e9) for s in episode.stamps]
    part = path.with_name(path.name + ".part")
    with BagWriter(part) as bag:
        for t, stamp in enumerate(stamps):
            jpeg = to_jpeg(episode.frames[t], QUALITY)
            bag.write_jpeg(f"{CAMERA}/compressed", stamp, FRAME_ID, jpeg)
            _write_masks(bag, episode, t, stamp)
        for number, question in enumerate(episode.questions):
            question_id = f"{episode.seed}-{number}-{question.type}"
            _write_question(bag, question, question_id, stamps, start)
    # The folder's name is part of the files' names inside it.
    _rename(part, path)


def _rename(part: Path, path: Path) -> None:
    metadata = part / "metadata.yaml"
    metadata.write_text(metadata.read_text().replace(part.name, path.name))
    for file in part.glob(f"{part.name}*"):
        file.rename(part / file.name.replace(part.name, path.name))
    part.rename(path)


def _write_masks(bag: BagWriter, episode: Episode, t: int, stamp: int) -> None:
    for k in range(len(episode.scene.bodies)):
        mask = episode.object_masks[t] == k + 1
        fields = {
            "header": {"stamp": time_fields(stamp), "frame_id": FRAME_ID},
            "question_id": "",
            "camera": CAMERA,
            "object": k,
            **shape_fields(mask),
            "active": bool(episode.active[t, k]),
            "score": 1.0,
            "live": False,
            "last": t == len(episode.stamps) - 1,
        }
        bag.write("/truth/masks", "groundmore/msg/MotionMask", stamp, fields)


def _write_question(
    bag: BagWriter, question: Question, question_id: str, stamps: list[int], start: int
) -> None:
    end = stamps[-1]
    asked = {
        "header": {"stamp": time_fields(end), "frame_id": ""},
        "question_id": question_id,
        "question": question.text,
        "camera": CAMERA,
        "window": (end - stamps[0]) / 1e9,
        "follow": 0.0,
    }
    bag.write("/mora/question", "groundmore/msg/MotionQuestion", end, asked)
    spans = []
    if question.target is not None and question.span is not None:
        first, last = (start + round(s * 1e9) for s in question.span)
        span = {
            "header": {"stamp": time_fields(first), "frame_id": FRAME_ID},
            "question_id": question_id,
            "camera": CAMERA,
            "object": question.target - 1,
            "start": time_fields(first),
            "end": time_fields(last),
            "score": 1.0,
        }
        spans.append(span)
        bag.write("/truth/events", "groundmore/msg/EventSpan", end, span)
    answer = {
        "header": {"stamp": time_fields(end), "frame_id": FRAME_ID},
        "question_id": question_id,
        "question": question.text,
        "camera": CAMERA,
        "model": "truth",
        "status": int(Status.OK if spans else Status.NO_OBJECT),
        "answer": question.answer,
        "error": "",
        "score": 1.0,
        "objects": len(spans),
        "spans": spans,
        "start": time_fields(stamps[0]),
        "end": time_fields(end),
        "frames": len(stamps),
        "latency_queue": 0.0,
        "latency_encode": 0.0,
        "latency_reason": 0.0,
        "latency_decode": 0.0,
    }
    bag.write("/truth/answers", "groundmore/msg/MotionAnswer", end, answer)
