# SPDX-License-Identifier: Apache-2.0
"""The GroundMoRe benchmark (Deng et al., CVPR 2025), versions 1 and 2.

A JSON file with ``{"videos": {id: {"questions": {...}}}}`` beside a folder of videos, each with
``images`` and ``masks`` (indexed PNG, pixel = object). Six frames a second; a video's id ends in
``_mmss_mmss``, its start and end in the source, against which the questions' times are told.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundmore_ros.datasets.base import Question, Video, union
from groundmore_ros.datasets.files import numbered, read_index_map, read_picture, read_videos
from groundmore_ros.errors import SourceError

__all__ = ["ANNOTATIONS", "GroundMore"]

RATE = 6  # frames a second
OFFICIAL_FRAMES = 20
# By part, newest first: the first that is there is read.
PARTS = {
    "test": ("test_v2.json", "test_meta.json", "groundmore_test.json"),
    "trainval": ("trainval_v2.json",),
    "train": ("train_meta.json",),
    "val": ("val_meta.json",),
}
ANNOTATIONS = tuple(name for names in PARTS.values() for name in names)
VIDEO_FOLDERS = ("annotations", "groundmore_videos", "videos", ".")
PICTURES = (".jpg", ".jpeg", ".png")


@dataclass
class GroundMore:
    """The data set in a folder, or in the folder of a given JSON file."""

    path: Path
    split: str | None = None
    name: str = field(init=False)
    ids: Sequence[str] = field(init=False)
    frames: int | None = OFFICIAL_FRAMES

    def __post_init__(self) -> None:
        """Read the questions.

        Raises:
            SourceError: there are none.
        """
        file = self.path.is_file()
        self._file = self.path if file else _annotation_file(self.path, self.split)
        self._videos = read_videos(self._file)
        self._root = _video_root(self._file.parent, self._videos)
        self.name = f"GroundMoRe ({self._file.name})"
        self.ids = sorted(self._videos)

    def video(self, video_id: str) -> "GroundMoreVideo":
        """Open a video."""
        record = self._videos[video_id]
        if not isinstance(record, dict) or not isinstance(record.get("questions"), dict):
            raise SourceError(f"{self._file}: video {video_id!r} has no questions")
        return GroundMoreVideo(video_id, self._root / video_id, record["questions"], self._file)


def _annotation_file(folder: Path, split: str | None) -> Path:
    if split is not None and split not in PARTS:
        raise SourceError(f"--split is {split!r}; expected one of {', '.join(PARTS)}")
    names = ANNOTATIONS if split is None else PARTS[split]
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise SourceError(f"{folder} has none of {', '.join(names)}")


def _video_root(folder: Path, ids: Iterable[str]) -> Path:
    for name in VIDEO_FOLDERS:
        if any((folder / name / video).is_dir() for video in ids):
            return folder / name
    return folder / VIDEO_FOLDERS[0]


class GroundMoreVideo(Video):
    """One clip."""

    def __init__(self, video_id: str, folder: Path, questions: dict[str, Any], file: Path) -> None:
        """Read which frames and masks there are."""
        self.id = video_id
        images = folder / "images"
        found = [p for p in images.iterdir() if p.suffix in PICTURES] if images.is_dir() else []
        self._files = list(numbered(found).items())
        self._masks = numbered((folder / "masks").glob("*.png"))
        self.missing = "" if self._files else f"{images} holds no frames"
        self.names = [file.stem for _, file in self._files]
        self.stamps = np.arange(len(self._files)) / RATE
        begin = _clip_start(video_id, file)
        self.questions = [
            _question(key, record, begin, len(self._files), f"{file}: {video_id}, question {key}")
            for key, record in questions.items()
        ]

    def pictures(self, indices: Sequence[int]) -> list[NDArray[np.uint8]]:
        """Frames."""
        return [read_picture(self._files[i][1]) for i in indices]

    def objects(self, index: int) -> NDArray[np.uint8] | None:
        """All objects of a frame; a frame without a mask is empty if others of the video have one.

        Raises:
            SourceError: mask and frame differ in size.
        """
        if not self._masks:
            return None
        number, _ = self._files[index]
        if number not in self._masks:
            return np.zeros(self.frame_size(index), np.uint8)
        found = read_index_map(self._masks[number])
        if found.shape != self.frame_size(index):
            raise SourceError(
                f"{self._masks[number]} is {found.shape}; its frame is {self.frame_size(index)}"
            )
        return found

    def truth(self, question: Question, index: int) -> NDArray[np.bool_] | None:
        """The target's mask: the union of its objects."""
        maps = self.objects(index)
        return None if maps is None else union(maps, question.objects)


def _question(key: str, record: Any, begin: int, frames: int, where: str) -> Question:
    try:
        start, end = (_seconds(record[k]) - begin for k in ("action_start", "action_end"))
        objects = _objects(record["obj_id"])
        # The last second's frames end before the second does.
        first, last = start * RATE, end * RATE - 1
        return Question(
            id=str(key),
            text=str(record["question"]),
            type=str(record["q_type"]).strip().capitalize(),
            answer=str(record.get("answer", "")),
            frames=range(frames),
            span=(first / RATE, last / RATE),
            has_target=True,
            objects=objects,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise SourceError(f"{where} is not as published: {error!r}") from error


def _objects(value: Any) -> tuple[int, ...]:
    """``1``, ``"1"``, ``"1, 2"`` or ``[1, 2]``."""
    parts = value if isinstance(value, list) else str(value).split(",")
    return tuple(int(p) for p in parts)


def _seconds(text: str) -> int:
    """``mm:ss``, or ``hh:mm:ss``."""
    total = 0
    for part in str(text).split(":"):
        total = total * 60 + int(part)
    return total


def _clip_start(video_id: str, file: Path) -> int:
    match = re.search(r"_(\d{2,})(\d{2})_(\d{2,})(\d{2})$", video_id)
    if not match:
        raise SourceError(f"{file}: video {video_id!r} does not end in _mmss_mmss")
    return int(match[1]) * 60 + int(match[2])
