# SPDX-License-Identifier: Apache-2.0
"""What evaluation and training read: videos, questions about them, and the truth where it is known.

Shape legend: T frames of H x W pixels.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from groundmore_ros.errors import SourceError

__all__ = ["Dataset", "Question", "Video", "moving_most", "union"]


@dataclass(frozen=True)
class Question:
    """A question about a video.

    Attributes:
        id: unique in its video.
        text: as asked.
        type: one of the four motion types, Referring, or what the data set says.
        answer: in words; empty where it is not known.
        frames: indices of the video's frames that it is about, rising.
        span: of the motion that is meant, closed, s; None where it is not known, or nothing is
            the right answer.
        has_target: whether something is the right answer; None where it is not known.
        objects: numbers of the target's objects in the video's object maps.
        tags: what else is known of it, for figures by tag.
    """

    id: str
    text: str
    type: str
    answer: str
    frames: range | tuple[int, ...]
    span: tuple[float, float] | None
    has_target: bool | None
    objects: tuple[int, ...] = ()
    tags: tuple[str, ...] = ()


class Video(ABC):
    """A video, its questions and its truth. Frames are numbered from 0 in the order of time.

    Attributes:
        id: unique in its data set; names files.
        names: (T,) of the frames, unique; they name files too.
        stamps: float64 (T,), s, rising.
        questions: about it.
        missing: why its frames cannot be had; empty where they can.
    """

    id: str
    names: Sequence[str]
    stamps: NDArray[np.float64]
    questions: list[Question]
    missing: str = ""
    _size: tuple[int, int] | None = None

    @abstractmethod
    def pictures(self, indices: Sequence[int]) -> Sequence[NDArray[np.uint8] | None]:
        """Frames (H, W, 3) RGB; None for a recorded frame that is broken.

        Raises:
            GroundmoreError: one cannot be read; the message names the file.
        """

    @abstractmethod
    def truth(self, question: Question, index: int) -> NDArray[np.bool_] | None:
        """The target's visible mask (H, W) in a frame, wherever the span lies; None: not known.

        Raises:
            GroundmoreError: it cannot be read; the message names the file.
        """

    def frame_size(self, index: int) -> tuple[int, int]:
        """Height and width of the frames, read off the first one that is asked about.

        Raises:
            SourceError: that one cannot be decoded.
        """
        if self._size is None:
            picture = self.pictures([index])[0]
            if picture is None:
                raise SourceError(f"{self.id}: frame {self.names[index]} cannot be decoded")
            self._size = (picture.shape[0], picture.shape[1])
        return self._size

    def objects(self, index: int) -> NDArray[np.uint8] | None:
        """All objects of a frame (H, W), 0 the background; None where not all are known."""
        del index
        return None

    def rivals(self, question: Question) -> dict[str, int]:
        """Objects that rules would choose which do not understand the question, by rule."""
        # All questions about the same frames share it.
        found: dict[tuple[int, ...], int | None] = self.__dict__.setdefault("_moving_most", {})
        frames = tuple(question.frames)
        if frames not in found:
            found[frames] = moving_most(map(self.objects, frames))
        best = found[frames]
        return {} if best is None else {"largest motion": best}


class Dataset(Protocol):
    """Videos by their ids. It can be sent to another process.

    Attributes:
        name: of the data set and its part, for reports.
        ids: of the videos.
        frames: how many frames of a clip its protocol scores, evenly; None: all.
    """

    name: str
    ids: Sequence[str]
    frames: int | None

    def video(self, video_id: str) -> Video:
        """Open a video. One whose frames are missing comes with its questions all the same."""
        ...


def union(maps: NDArray[np.uint8], objects: Sequence[int]) -> NDArray[np.bool_]:
    """Where any of some objects is, in maps of any shape."""
    found = np.zeros(maps.shape, bool)
    for number in objects:
        found |= maps == number
    return found


def moving_most(maps: Iterable[NDArray[np.uint8] | None]) -> int | None:
    """The object whose centre travels farthest in the image, in maps (H, W) one after the other.

    None where a frame's objects are not known, or there are none.
    """
    last: dict[int, NDArray[np.float64]] = {}
    far: dict[int, float] = {}
    for frame in maps:
        if frame is None:
            return None
        for k in np.flatnonzero(np.bincount(frame.ravel(), minlength=1)[1:]) + 1:
            centre = np.argwhere(frame == k).mean(axis=0)
            step = np.linalg.norm(centre - last.get(int(k), centre))
            far[int(k)] = far.get(int(k), 0.0) + float(step)
            last[int(k)] = centre
    return max(far, key=lambda k: far[k]) if far else None
