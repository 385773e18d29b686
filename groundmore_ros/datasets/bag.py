# SPDX-License-Identifier: Apache-2.0
"""Bags with truth topics, as simulated ones have.

A question's clip is cut as the node cuts it: sampled by stamps, the window before the question's
time, at most so many frames.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from groundmore_ros.bags.clips import sampled_frames
from groundmore_ros.bags.sampling import evenly
from groundmore_ros.bags.sources import Frame, open_source
from groundmore_ros.bags.truth import TrueAnswer, read_truth
from groundmore_ros.datasets.base import Question, Video, union
from groundmore_ros.errors import BadFrameError, SourceError

__all__ = ["CLIP_FRAMES", "RATE", "WINDOW", "BagVideo", "Bags", "SampledVideo", "is_bag"]

RATE, WINDOW, CLIP_FRAMES = 5.0, 3.0, 16  # as the node's parameters


def is_bag(path: Path) -> bool:
    """Whether a path is a rosbag2."""
    return (path / "metadata.yaml").is_file() or path.suffix in (".mcap", ".db3")


class SampledVideo(Video):
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
    """Bags with truth topics, one or all in a folder; ``topic`` is of their images."""

    path: Path
    topic: str | None = None
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
        self._bags = {bag.name if bag.is_dir() else bag.stem: bag for bag in found}
        if len(self._bags) < len(found):
            raise SourceError(f"{self.path}: a bag and a folder have the same name")
        self.name = f"bags in {self.path.name}" if len(found) > 1 else f"bag {self.path.name}"
        self.ids = list(self._bags)

    def video(self, video_id: str) -> "BagVideo":
        """Open a bag."""
        return BagVideo(video_id, self._bags[video_id], self.topic, self.rate, self.clip_frames)


class BagVideo(SampledVideo):
    """A bag with truth topics."""

    def __init__(
        self, video_id: str, path: Path, topic: str | None, rate: float, clip_frames: int
    ) -> None:
        """Read stamps and truth.

        Raises:
            SourceError: the bag cannot be read, or has no truth topics.
        """
        super().__init__(video_id, path, topic, rate)
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
