# SPDX-License-Identifier: Apache-2.0
"""Questions about recordings: the same engine as the node's, without ROS."""

import json
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from groundmore_ros.bags.clips import SampledClip, clip_at, consecutive_clips
from groundmore_ros.bags.records import Latencies, Result
from groundmore_ros.bags.sources import open_source
from groundmore_ros.errors import GroundmoreError, SourceError
from groundmore_ros.mora.answer import Status

if TYPE_CHECKING:
    from groundmore_ros.bags.writer import BagFile, VideoWriter
    from groundmore_ros.mora import Mora

__all__ = ["AnsweredClip", "Outbox", "Sampling", "answer_clip", "ask", "summary"]


class Sampling(NamedTuple):
    """How clips are cut: window (s), rate (Hz) and the most frames; the node's defaults."""

    window: float = 3.0
    rate: float = 5.0
    most: int = 16


class AnsweredClip(NamedTuple):
    """A result and the frames that it was made from."""

    result: Result
    clip: SampledClip


def ask(
    mora: "Mora",
    path: Path,
    question: str,
    *,
    topic: str | None = None,
    at: float | None = None,
    sampling: Sampling | None = None,
) -> Iterator[AnsweredClip]:
    """Answer a question about a recording, one clip after the other.

    Args:
        mora: the model.
        path: a rosbag2, a video or a folder of pictures.
        question: as a person would ask it.
        topic: a bag's image topic, where it has several.
        at: s, one clip that ends there; None: all consecutive windows.
        sampling: how clips are cut.

    Raises:
        SourceError: the recording cannot be read as asked.
        BadQuestionError: an empty question, or one that is too long.
    """
    cut = sampling or Sampling()
    settings = {"window": cut.window, "rate": cut.rate, "most": cut.most}
    with open_source(path, topic) as source:
        clips = (
            consecutive_clips(source, **settings)  # type: ignore[arg-type]
            if at is None
            else iter([clip_at(source, at, **settings)])  # type: ignore[arg-type]
        )
        found = False
        for clip in clips:
            found = True
            yield AnsweredClip(answer_clip(mora, clip, question, source.camera), clip)
    if not found:
        raise SourceError(f"{path} has no frames that can be read")


def answer_clip(
    mora: "Mora", clip: SampledClip, question: str, camera: str, question_id: str = ""
) -> Result:
    """Answer a question about one clip."""
    began = time.monotonic()
    features = [mora.encode(frame.picture) for frame in clip.frames]
    timing = Latencies(encode=time.monotonic() - began)
    stamps = [frame.stamp / 1e9 for frame in clip.frames]
    answer = mora.answer_features(features, stamps, question, timing=timing)
    result = Result(
        question_id=question_id or str(uuid.uuid4()),
        question=question,
        camera=camera,
        model=mora.name,
        status=answer.status,
        answer=answer,
        stamps=tuple(frame.stamp for frame in clip.frames),
        frame_ids=tuple(frame.frame_id for frame in clip.frames),
    )
    return replace(result, latencies=timing)


def summary(result: Result) -> dict[str, Any]:
    """What ``answers.json`` says of a result. Times are s, as in the frames' stamps."""
    answer = result.answer
    return {
        "question": result.question,
        "camera": result.camera,
        "model": result.model,
        "status": Status(result.status).name,
        "answer": answer.plain_text if answer else "",
        "score": round(answer.score, 6) if answer else 0.0,
        "error": result.error,
        "stamps": [s / 1e9 for s in result.stamps],
        "objects": [
            {
                "score": round(found.score, 6),
                "spans": [
                    {"start": start, "end": end, "score": round(score, 6)}
                    for start, end, score in found.spans
                ],
                "frame_scores": [round(float(s), 6) for s in found.frame_scores],
                "active": [bool(a) for a in found.active],
                "area": [int(a) for a in (found.mask_logits > 0).sum(axis=(1, 2))],
            }
            for found in (answer.objects if answer else [])
        ],
    }


class Outbox:
    """A folder of answers: ``masks/``, ``answers.json``, ``answers.mcap`` and ``overlay.mp4``.

    Clips are written as they come; use it in a ``with`` statement.
    """

    NAMES = ("masks", "answers.json", "answers.mcap", "overlay.mp4")

    def __init__(self, folder: Path, rate: float) -> None:
        """The folder is created with the first answer. Rate in Hz, of the overlay.

        Raises:
            GroundmoreError: it holds answers already, or is a file.
        """
        taken = [name for name in self.NAMES if (folder / name).exists()]
        if taken or folder.is_file():
            held = f"already has {', '.join(taken)}" if taken else "is a file"
            raise GroundmoreError(f"{folder} {held}; name another folder")
        self._folder, self._rate = folder, rate
        self._answers: list[dict[str, Any]] = []
        self._files = ExitStack()
        self._bag: BagFile | None = None
        self._video: VideoWriter | None = None

    def __enter__(self) -> "Outbox":
        return self

    def _open(self) -> tuple["BagFile", "VideoWriter"]:
        from groundmore_ros.bags.writer import BagFile, VideoWriter

        if self._bag is None or self._video is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._bag = self._files.enter_context(BagFile(self._folder / "answers.mcap"))
            self._video = VideoWriter(self._folder / "overlay.mp4", self._rate)
            self._files.callback(self._video.close)
        return self._bag, self._video

    def add(self, answered: AnsweredClip) -> None:
        """Write one clip's masks, messages and pictures."""
        from groundmore_ros.bags.images import to_jpeg
        from groundmore_ros.bags.writer import overlay, write_masks

        result, clip = answered
        assert result.answer is not None
        bag, video = self._open()
        self._answers.append(summary(result))
        gated = result.answer.masks
        write_masks(self._folder / "masks", result.stamps, gated)
        ungated = result.answer.mask_logits > 0
        active = np.logical_or.reduce(
            [np.zeros(len(result.stamps), bool), *(o.active for o in result.answer.objects)]
        )
        for t, frame in enumerate(clip.frames):
            drawn = overlay(frame.picture, ungated[t], bool(active[t]))
            bag.write_jpeg("/image/compressed", frame.stamp, frame.frame_id, to_jpeg(frame.picture))
            bag.write_jpeg("/mora/overlay/compressed", frame.stamp, frame.frame_id, to_jpeg(drawn))
            video.add(drawn)
        bag.write_result(result)

    def __exit__(self, *args: object) -> None:
        self._files.close()
        if self._answers:
            text = json.dumps(self._answers, indent=1)
            (self._folder / "answers.json").write_text(text + "\n")
