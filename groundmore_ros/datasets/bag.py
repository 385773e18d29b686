# SPDX-License-Identifier: Apache-2.0
"""Bags: with truth topics, as simulated ones have, or with questions in a YAML file beside them.

A question's clip is cut as the node cuts it: sampled by stamps, the window before the question's
time, at most so many frames.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from groundmore_ros.bags.clips import end_of, sampled_frames
from groundmore_ros.bags.sampling import evenly
from groundmore_ros.bags.sources import Frame, open_source
from groundmore_ros.bags.truth import TrueAnswer, read_truth
from groundmore_ros.datasets.base import Question, Video, union
from groundmore_ros.datasets.files import read_index_map
from groundmore_ros.errors import BadFrameError, SourceError

__all__ = ["Bags", "QuestionFile", "is_bag"]

RATE, WINDOW, CLIP_FRAMES = 5.0, 3.0, 16  # as the node's parameters


def is_bag(path: Path) -> bool:
    """Whether a path is a rosbag2."""
    return (path / "metadata.yaml").is_file() or path.suffix in (".mcap", ".db3")


class _SampledVideo(Video):
    """The frames of a source that sampling keeps; only stamps are held."""

    def __init__(self, video_id: str, path: Path, topic: str | None, rate: float) -> None:
        self.id, self._path = video_id, path
        self.questions = []
        self._wanted = topic
        with open_source(path, topic) as source:
            self.topic = source.camera
            kept = [(f.stamp, f.received) for f in sampled_frames(source, rate)]
        # Where the clock jumps back, what was before is another recording.
        jumps = [i for i in range(1, len(kept)) if kept[i][0] < kept[i - 1][0]]
        self._kept = kept[jumps[-1] :] if jumps else kept
        self.missing = "" if self._kept else f"{path} has no frames"
        self.nanoseconds = [stamp for stamp, _ in self._kept]
        self.names = [f"{stamp:020d}" for stamp in self.nanoseconds]
        self.stamps = np.array(self.nanoseconds) / 1e9

    def pictures(self, indices: Sequence[int]) -> list[NDArray[np.uint8] | None]:
        """Frames; None for those that cannot be decoded."""
        times = [self._kept[i][1] for i in indices]
        wanted = {self._kept[i] for i in indices}
        found: dict[int, NDArray[np.uint8] | None] = {}
        with open_source(self._path, self._wanted) as source:
            for frame in source.frames((min(times), max(times))):
                if (frame.stamp, frame.received) in wanted and frame.stamp not in found:
                    found[frame.stamp] = _decode(frame)
        return [found.get(self.nanoseconds[i]) for i in indices]

    def clip(self, end: int, window: float, most: int) -> tuple[int, ...]:
        """Indices of the frames in the window (s) before a time (ns), evenly."""
        begin = end - round(window * 1e9)
        inside = [i for i, stamp in enumerate(self.nanoseconds) if begin <= stamp <= end]
        return tuple(inside[i] for i in evenly(len(inside), most))


def _decode(frame: Frame) -> NDArray[np.uint8] | None:
    try:
        return frame.decode()
    except BadFrameError:
        return None


@dataclass
class Bags:
    """Bags with truth topics, one or all in a folder."""

    path: Path
    rate: float = RATE
    clip_frames: int = CLIP_FRAMES
    name: str = field(init=False)
    ids: Sequence[str] = field(init=False)
    frames: int | None = None

    def __post_init__(self) -> None:
        """Look for bags.

        Raises:
            SourceError: there are none.
        """
        found = [self.path] if is_bag(self.path) else sorted(filter(is_bag, self.path.iterdir()))
        if not found:
            raise SourceError(f"{self.path} holds no bags")
        self._bags = {bag.stem: bag for bag in found}
        self.name = f"bags in {self.path.name}" if len(found) > 1 else f"bag {self.path.name}"
        self.ids = list(self._bags)

    def video(self, video_id: str) -> "BagVideo":
        """Open a bag."""
        return BagVideo(video_id, self._bags[video_id], self.rate, self.clip_frames)


class BagVideo(_SampledVideo):
    """A bag with truth topics."""

    def __init__(self, video_id: str, path: Path, rate: float, clip_frames: int) -> None:
        """Read stamps and truth.

        Raises:
            SourceError: the bag cannot be read, or has no truth topics.
        """
        super().__init__(video_id, path, None, rate)
        self.path, self.rate, self.clip_frames = path, rate, clip_frames
        self._truth = read_truth(path, pictures=False)
        self._numbers = sorted({number for _, number in self._truth.masks})
        self.questions = [self._question(answer, clip_frames) for answer in self._truth.answers]

    def _question(self, answer: TrueAnswer, clip_frames: int) -> Question:
        span = answer.span and (answer.span[0] / 1e9, answer.span[1] / 1e9)
        return Question(
            id=answer.question_id,
            text=answer.question,
            type=answer.type,
            answer=answer.answer,
            frames=self.clip(answer.end, answer.window, clip_frames),
            span=span,
            has_target=span is not None,
            objects=() if answer.object is None else (answer.object + 1,),
        )

    def objects(self, index: int) -> NDArray[np.uint8] | None:
        """All objects of a frame, numbered from 1."""
        stamp = self.nanoseconds[index]
        known = [n for n in self._numbers if (stamp, n) in self._truth.masks]
        if not known:
            return None
        first = self._truth.masks[stamp, known[0]]
        maps = np.zeros(first.shape, np.uint8)
        for number in known:
            maps[self._truth.masks[stamp, number].decode()] = number + 1
        return maps

    def truth(self, question: Question, index: int) -> NDArray[np.bool_] | None:
        """The target's visible mask."""
        maps = self.objects(index)
        return None if maps is None else union(maps, question.objects)


@dataclass
class QuestionFile:
    """A user's questions about a recording, in a YAML file beside it (see docs/evaluation.md)."""

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
        if not isinstance(content, dict) or not {"bag", "questions"} <= content.keys():
            raise SourceError(f"{self.path}: expected `bag` and `questions`")
        unknown = content.keys() - {"bag", "topic", "rate", "window", "frames", "questions"}
        if unknown:
            raise SourceError(f"{self.path}: unknown {', '.join(sorted(unknown))}")
        self._content = content
        self.name = f"questions in {self.path.name}"
        self.ids = [Path(str(content["bag"])).stem]

    def video(self, video_id: str) -> "AskedVideo":
        """Open the recording."""
        return AskedVideo(video_id, self.path, self._content)


_KEYS = {"question", "at", "window", "type", "answer", "span", "masks"}


class AskedVideo(_SampledVideo):
    """A recording that a user asks about."""

    def __init__(self, video_id: str, file: Path, content: dict[str, Any]) -> None:
        """Read stamps and questions.

        Raises:
            SourceError: the recording cannot be read, or a question is not as expected.
        """
        self._file = file
        recording = file.parent / str(content["bag"])
        rate = float(content.get("rate", RATE))
        super().__init__(video_id, recording, content.get("topic"), rate)
        self._window = float(content.get("window", WINDOW))
        self._most = int(content.get("frames", CLIP_FRAMES))
        self._masks: dict[str, Path] = {}
        if not self.missing:
            self.questions = [
                self._question(str(n), record) for n, record in enumerate(content["questions"])
            ]

    def _question(self, number: str, record: Any) -> Question:
        where = f"{self._file}: question {number}"
        if not isinstance(record, dict) or not {"question", "at"} <= record.keys() <= _KEYS:
            raise SourceError(
                f"{where} is {record!r}; expected `question`, `at` and, where known, "
                f"{', '.join(sorted(_KEYS - {'question', 'at'}))}"
            )
        try:
            end = self._stamp(record["at"])
            span = record.get("span")
            if span is not None:
                span = (self._stamp(span[0]) / 1e9, self._stamp(span[1]) / 1e9)
            window = float(record.get("window", self._window))
        except (TypeError, ValueError, IndexError) as error:
            raise SourceError(f"{where}: {error}") from error
        if "masks" in record:
            self._masks[number] = self._file.parent / str(record["masks"])
        answer = str(record.get("answer", ""))
        nothing = answer.strip().lower() == "nothing"
        known = bool(answer or span or "masks" in record)
        return Question(
            id=number,
            text=str(record["question"]),
            type=str(record.get("type", "")),
            answer=answer,
            frames=self.clip(end, window, self._most),
            span=span,
            has_target=(not nothing) if known else None,
        )

    def _stamp(self, seconds: Any) -> int:
        """Nanoseconds of a stamp, or of an offset from the first frame."""
        return end_of(float(seconds), self.nanoseconds[0])

    def truth(self, question: Question, index: int) -> NDArray[np.bool_] | None:
        """A mask that the user drew."""
        if question.has_target is False:
            picture = self.pictures([index])[0]
            return None if picture is None else np.zeros(picture.shape[:2], bool)
        folder = self._masks.get(question.id)
        file = folder / f"{self.names[index]}.png" if folder else None
        return read_index_map(file) > 0 if file and file.is_file() else None
