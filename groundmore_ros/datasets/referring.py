# SPDX-License-Identifier: Apache-2.0
"""Refer-YouTube-VOS (Seo et al., ECCV 2020) and MeViS (Ding et al., ICCV 2023).

Both tell expressions in ``meta_expressions.json`` about frames in ``JPEGImages``. The former has an
indexed PNG a frame in ``Annotations``, the latter COCO run lengths a frame in ``mask_dict.json``,
with the union of several objects as target.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundmore_ros import run_lengths
from groundmore_ros.datasets.base import Question, Video, union
from groundmore_ros.datasets.files import read_index_map, read_json, read_picture, read_videos
from groundmore_ros.errors import GroundmoreError, SourceError

__all__ = ["Mevis", "ReferYoutubeVos", "expression_file"]

EXPRESSIONS = "meta_expressions.json"
YOUTUBE_RATE = 30.0  # Hz; a frame's name is its number in the video
MEVIS_RATE = 5.0  # Hz; MeViS tells no times, its frames are a few a second
TYPE = "Referring"


def expression_file(folder: Path, split: str | None = None) -> Path | None:
    """The file of expressions in a data set's folder, or in that of its part."""
    parts = [split] if split else ["", "valid_u", "valid", "train", "test"]
    for part in parts:
        for place in (folder / part, folder / "meta_expressions" / part):
            if (place / EXPRESSIONS).is_file():
                return place / EXPRESSIONS
    return None


@dataclass
class _Expressions:
    """What both data sets share."""

    path: Path
    split: str | None = None
    name: str = field(init=False)
    ids: Sequence[str] = field(init=False)
    frames: int | None = None

    def __post_init__(self) -> None:
        """Read the expressions.

        Raises:
            SourceError: there are none.
        """
        file = expression_file(self.path, self.split)
        if file is None:
            part = f" for {self.split}" if self.split else ""
            raise SourceError(f"{self.path} has no {EXPRESSIONS}{part}")
        self._file = file
        self._videos = read_videos(file)
        # ``meta_expressions/train/`` describes the frames in ``train/``.
        beside = file.parent
        if not (beside / "JPEGImages").is_dir():
            beside = self.path / file.parent.name
        self._root = beside
        self.name = f"{type(self).__name__} ({file.parent.name})"
        self.ids = sorted(self._videos)

    def _record(self, video_id: str) -> tuple[list[str], dict[str, Any]]:
        record = self._videos[video_id]
        frames = record.get("frames") if isinstance(record, dict) else None
        expressions = record.get("expressions") if isinstance(record, dict) else None
        where = f"{self._file}: video {video_id!r}"
        if not isinstance(frames, list) or not frames:
            raise SourceError(f"{where} has no frames")
        if not isinstance(expressions, dict):
            raise SourceError(f"{where} has no expressions")
        return sorted(map(str, frames)), expressions


class ReferYoutubeVos(_Expressions):
    """Refer-YouTube-VOS."""

    def video(self, video_id: str) -> Video:
        """Open a video."""
        names, expressions = self._record(video_id)
        if not all(name.isdigit() for name in names):
            raise SourceError(f"{self._file}: video {video_id!r} has frames that are no numbers")
        stamps = np.array([int(n) for n in names]) / YOUTUBE_RATE
        questions = [
            _question(
                key,
                record,
                stamps,
                "obj_id",
                f"{self._file}: video {video_id!r}, expression {key}",
            )
            for key, record in expressions.items()
        ]
        return _YoutubeVideo(video_id, self._root, names, stamps, questions)


class Mevis(_Expressions):
    """MeViS, any part that has masks, such as ``valid_u``."""

    def __post_init__(self) -> None:
        """Read expressions and masks."""
        super().__post_init__()
        self._masks = read_json(self._root / "mask_dict.json")

    def video(self, video_id: str) -> Video:
        """Open a video."""
        names, expressions = self._record(video_id)
        stamps = np.arange(len(names)) / MEVIS_RATE
        questions: list[Question] = []
        masks: dict[int, list[Any]] = {}
        for key, record in expressions.items():
            where = f"{self._file}: video {video_id!r}, expression {key}"
            question = _question(key, record, stamps, "anno_id", where)
            if question.has_target is None:
                raise SourceError(f"{where} has no anno_id")
            questions.append(question)
            masks |= {k: self._annotation(str(k), len(names)) for k in question.objects}
        return _MevisVideo(video_id, self._root, names, stamps, questions, masks)

    def _annotation(self, number: str, frames: int) -> list[Any]:
        where = f"{self._root / 'mask_dict.json'}: annotation {number}"
        masks = self._masks.get(number)
        if not isinstance(masks, list) or len(masks) != frames:
            held = len(masks) if isinstance(masks, list) else "no"
            raise SourceError(f"{where} has {held} masks; expected {frames}")
        return masks


def _question(
    key: str,
    record: Any,
    stamps: NDArray[np.float64],
    target: str,
    where: str,
) -> Question:
    """An expression whose objects are told under the key ``target``, where they are."""
    if not isinstance(record, dict) or not isinstance(record.get("exp"), str):
        raise SourceError(f"{where} has no text")
    try:
        objects = _numbers(record[target]) if target in record else None
    except (TypeError, ValueError) as error:
        raise SourceError(f"{where}: {target} is {record[target]!r}; expected numbers") from error
    has_target = None if objects is None else bool(objects)
    return Question(
        id=str(key),
        text=record["exp"],
        type=TYPE,
        answer="",
        frames=range(len(stamps)),
        span=(float(stamps[0]), float(stamps[-1])) if has_target else None,
        has_target=has_target,
        objects=objects or (),
    )


def _numbers(value: Any) -> tuple[int, ...]:
    return tuple(int(v) for v in (value if isinstance(value, list) else [value]))


class _JpegVideo(Video):
    def __init__(
        self,
        video_id: str,
        root: Path,
        names: list[str],
        stamps: NDArray[np.float64],
        questions: list[Question],
    ) -> None:
        self.id, self.names, self.stamps, self.questions = video_id, names, stamps, questions
        self._folder = root / "JPEGImages" / video_id
        self._truth = root / "Annotations" / video_id
        self.missing = "" if self._folder.is_dir() else f"{self._folder} does not exist"

    def pictures(self, indices: Sequence[int]) -> list[NDArray[np.uint8]]:
        """Frames."""
        return [read_picture(self._folder / f"{self.names[i]}.jpg") for i in indices]


class _YoutubeVideo(_JpegVideo):
    def objects(self, index: int) -> NDArray[np.uint8] | None:
        """All objects that the data set knows."""
        file = self._truth / f"{self.names[index]}.png"
        return read_index_map(file) if file.is_file() else None

    def truth(self, question: Question, index: int) -> NDArray[np.bool_] | None:
        """The target's mask; not known in parts that were published without."""
        if question.has_target is None:
            return None
        maps = self.objects(index)
        return None if maps is None else union(maps, question.objects)


class _MevisVideo(_JpegVideo):
    def __init__(self, *arguments: Any) -> None:
        *shared, self._masks = arguments
        super().__init__(*shared)

    def truth(self, question: Question, index: int) -> NDArray[np.bool_] | None:
        """The union of the target's objects."""
        target = np.zeros(self.frame_size(index), bool)
        for number in question.objects:
            found = self._masks[number][index]
            if found is not None:
                target |= self._decode(found, number, index)
        return target

    def _decode(self, found: Any, number: int, index: int) -> NDArray[np.bool_]:
        where = f"{self._folder}: annotation {number} of frame {self.names[index]}"
        try:
            mask = run_lengths.decode_coco(found)
        except (GroundmoreError, KeyError, TypeError, ValueError) as error:
            raise SourceError(f"{where}: {error!r}") from error
        if mask.shape != self.frame_size(index):
            raise SourceError(f"{where} is {mask.shape}; its frame is {self.frame_size(index)}")
        return mask
