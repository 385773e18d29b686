# SPDX-License-Identifier: Apache-2.0
"""Questions about recordings: the same engine as the node's, without ROS."""

import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from groundmore_ros.bags.clips import SampledClip, clip_at, consecutive_clips
from groundmore_ros.bags.records import Latencies, Result
from groundmore_ros.bags.sources import open_source
from groundmore_ros.errors import SourceError

if TYPE_CHECKING:
    from groundmore_ros.mora import Mora

__all__ = ["AnsweredClip", "Sampling", "answer_clip", "ask"]


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
