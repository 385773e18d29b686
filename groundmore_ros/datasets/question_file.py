# SPDX-License-Identifier: Apache-2.0
"""A user's questions about a recording, in a YAML file beside it (see docs/evaluation.md)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from groundmore_ros.bags.clips import end_of
from groundmore_ros.datasets.bag import CLIP_FRAMES, RATE, WINDOW, SampledVideo
from groundmore_ros.datasets.base import Question
from groundmore_ros.datasets.files import read_index_map
from groundmore_ros.errors import SourceError

__all__ = ["QuestionFile"]

FILE_KEYS = {"bag", "topic", "rate", "window", "frames", "questions"}
QUESTION_KEYS = {"question", "at", "window", "type", "answer", "span", "masks"}
NOTHING = "nothing"


@dataclass
class QuestionFile:
    """The file; its recording is its only video."""

    path: Path
    name: str = field(init=False)
    ids: Sequence[str] = field(init=False)
    frames: int | None = None

    def __post_init__(self) -> None:
        """Read the file.

        Raises:
            SourceError: it is not as expected.
        """
        try:
            content = yaml.safe_load(self.path.read_text())
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise SourceError(f"{self.path} cannot be read: {error}") from error
        where = str(self.path)
        if not isinstance(content, dict) or not {"bag", "questions"} <= content.keys():
            raise SourceError(f"{where}: expected `bag` and `questions`")
        unknown = sorted(map(str, content.keys() - FILE_KEYS))
        if unknown:
            raise SourceError(f"{where}: unknown {', '.join(unknown)}")
        if not isinstance(content["questions"], list) or not content["questions"]:
            raise SourceError(f"{where}: `questions` is {content['questions']!r}; expected a list")
        self._recording = self.path.parent / _text(content, "bag", where)
        self._topic = _text(content, "topic", where) or None
        self._rate = _number(content, "rate", where, RATE, low=0.1)
        self._window = _number(content, "window", where, WINDOW, low=0.01)
        self._most = int(_number(content, "frames", where, CLIP_FRAMES, low=1))
        self._questions = content["questions"]
        self.name = f"questions in {self.path.name}"
        self.ids = [self._recording.stem]

    def video(self, video_id: str) -> "AskedVideo":
        """Open the recording.

        Raises:
            SourceError: it cannot be read, or a question is not as expected.
        """
        video = AskedVideo(video_id, self._recording, self._topic, self._rate)
        if video.missing:
            raise SourceError(video.missing)
        for number, record in enumerate(self._questions):
            self._add(video, str(number), record)
        return video

    def _add(self, video: "AskedVideo", number: str, record: Any) -> None:
        where = f"{self.path}: question {number}"
        if not isinstance(record, dict) or not {"question", "at"} <= record.keys() <= QUESTION_KEYS:
            raise SourceError(
                f"{where} is {record!r}; expected `question`, `at` and, where known, "
                f"{', '.join(sorted(QUESTION_KEYS - {'question', 'at'}))}"
            )
        at = _number(record, "at", where, 0.0)
        window = _number(record, "window", where, self._window, low=0.01)
        frames = video.clip(video.stamp(at), window, self._most)
        if not frames:
            raise SourceError(f"{where}: no frames in the {window:g} s before {at:g} s")
        span = _span(record, where)
        answer, folder = _text(record, "answer", where), _text(record, "masks", where)
        known = bool(answer or span or folder)
        question = Question(
            id=number,
            text=_text(record, "question", where),
            type=_text(record, "type", where),
            answer=answer,
            frames=frames,
            span=span and (video.stamp(span[0]) / 1e9, video.stamp(span[1]) / 1e9),
            has_target=answer.lower() != NOTHING if known else None,
        )
        video.add(question, self.path.parent / folder if folder else None)


class AskedVideo(SampledVideo):
    """A recording that a user asks about."""

    def __init__(self, video_id: str, path: Path, topic: str | None, rate: float) -> None:
        """Read stamps.

        Raises:
            SourceError: the recording cannot be read.
        """
        super().__init__(video_id, path, topic, rate)
        self._masks: dict[str, Path] = {}

    def add(self, question: Question, masks: Path | None) -> None:
        """Add a question, with the folder of its masks where there is one."""
        self.questions.append(question)
        if masks:
            self._masks[question.id] = masks

    def stamp(self, seconds: float) -> int:
        """Nanoseconds of a stamp, or of an offset from the first frame."""
        return end_of(seconds, self.nanoseconds[0])

    def truth(self, question: Question, index: int) -> NDArray[np.bool_] | None:
        """A mask that the user drew; nothing, where nothing is the right answer.

        Raises:
            SourceError: it has another size than the frames.
        """
        if question.has_target is False:
            return np.zeros(self.frame_size(index), bool)
        folder = self._masks.get(question.id)
        file = folder / f"{self.names[index]}.png" if folder else None
        if file is None or not file.is_file():
            return None
        drawn = read_index_map(file) > 0
        if drawn.shape != self.frame_size(index):
            raise SourceError(f"{file} is {drawn.shape}; its frame is {self.frame_size(index)}")
        return drawn


def _text(record: dict[str, Any], key: str, where: str) -> str:
    value = record.get(key)
    if value is not None and not isinstance(value, str | int | float):
        raise SourceError(f"{where}: `{key}` is {value!r}; expected a text")
    return "" if value is None else str(value).strip()


def _number(
    record: dict[str, Any], key: str, where: str, default: float, low: float = -math.inf
) -> float:
    value = record.get(key, default)
    number = float(value) if isinstance(value, int | float) else math.nan
    if not math.isfinite(number) or number < low:
        limit = f" of at least {low:g}" if math.isfinite(low) else ""
        raise SourceError(f"{where}: `{key}` is {value!r}; expected a number{limit}")
    return number


def _span(record: dict[str, Any], where: str) -> tuple[float, float] | None:
    value = record.get("span")
    if value is None:
        return None
    ends = value if isinstance(value, list) else []
    numbers = [float(v) for v in ends if isinstance(v, int | float) and math.isfinite(v)]
    if len(ends) != 2 or len(numbers) != 2 or numbers[1] < numbers[0]:
        raise SourceError(f"{where}: `span` is {value!r}; expected [start, end]")
    return numbers[0], numbers[1]
