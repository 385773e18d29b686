# SPDX-License-Identifier: Apache-2.0
"""A model's answers to the questions about a video; each frame is encoded once."""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from groundmore_ros.bags.records import Latencies
from groundmore_ros.datasets.base import Question, Video
from groundmore_ros.errors import BadFrameError
from groundmore_ros.evaluation.predictions import FAILED, Prediction
from groundmore_ros.run_lengths import RunLengths

if TYPE_CHECKING:
    from groundmore_ros.mora import Answer, Mora
    from groundmore_ros.mora.assistant import EncodedFrame

__all__ = ["Asking", "answer_video", "inside", "scored_frames"]

CACHE_BYTES = 1024**3  # of one video's features


@dataclass(frozen=True)
class Asking:
    """How questions are put; the switches are the paper's diagnostics.

    Attributes:
        frames: frames of a clip, evenly; None: all.
        given_answer: the answer is named instead of asked for, so that only masks are left to find.
        given_span: the clip is cut to the true span.
        gate: whether [LOC] gates the masks.
    """

    frames: int | None = None
    given_answer: bool = False
    given_span: bool = False
    gate: bool = True


def scored_frames(video: Video, question: Question, asking: Asking) -> list[int]:
    """The frames that are asked about and scored, as the published protocol takes them.

    ``linspace`` with its end, cut to whole numbers: a short clip's frames come several times.
    """
    frames = list(question.frames)
    if asking.given_span and question.span is not None:
        span = question.span
        frames = [i for i in frames if inside(float(video.stamps[i]), span)] or frames
    if asking.frames is None or not frames:
        return frames
    return [frames[int(i)] for i in np.linspace(0, len(frames) - 1, asking.frames)]


def answer_video(
    model: Callable[[], "Mora"], video: Video, questions: Sequence[Question], asking: Asking
) -> Iterator[Prediction]:
    """Answer questions about a video. Whatever goes wrong with one is its FAILED answer.

    The model is asked for when there is a question.
    """
    if not questions:
        return
    mora = model()
    features = _Features(mora, video)
    for question in questions:
        try:
            yield _answer(mora, video, question, asking, features)
        except Exception as error:  # noqa: BLE001 - the run goes on, the question counts as failed
            yield Prediction(
                video.id, question.id, FAILED, error=f"{type(error).__name__}: {error}"
            )


class _Features:
    """Encoded frames of a video, the least used of them dropped at a bound of bytes."""

    def __init__(self, mora: "Mora", video: Video) -> None:
        self._mora, self._video = mora, video
        self._held: OrderedDict[int, EncodedFrame] = OrderedDict()

    def of(self, indices: Sequence[int]) -> dict[int, "EncodedFrame"]:
        """Features by frame, without those that are broken."""
        found = {i: self._held.pop(i) for i in indices if i in self._held}
        missing = [i for i in indices if i not in found]
        pictures = self._video.pictures(missing) if missing else []
        for index, picture in zip(missing, pictures, strict=True):
            if picture is not None:
                found[index] = self._mora.encode(picture)
        self._held.update(found)
        while sum(f.nbytes for f in self._held.values()) > CACHE_BYTES and len(self._held) > 1:
            self._held.popitem(last=False)
        return found


def _answer(
    mora: "Mora", video: Video, question: Question, asking: Asking, features: _Features
) -> Prediction:
    indices = sorted(set(scored_frames(video, question, asking)))
    if not indices:
        raise BadFrameError("the clip has no frames")
    began = time.monotonic()
    encoded = features.of(indices)
    kept = sorted(encoded)
    if not kept:
        raise BadFrameError("no frame of the clip can be decoded")
    timing = Latencies(encode=time.monotonic() - began)
    text = question.answer if asking.given_answer and question.answer else question.text
    stamps = [float(video.stamps[i]) for i in kept]
    answer = mora.answer_features([encoded[i] for i in kept], stamps, text, timing=timing)
    names = [video.names[i] for i in kept]
    return _prediction(video, question, answer, names, timing, asking.gate)


def _prediction(
    video: Video,
    question: Question,
    answer: "Answer",
    names: list[str],
    timing: Latencies,
    gate: bool,
) -> Prediction:
    ungated = answer.mask_logits > 0
    masks = answer.masks if gate else ungated
    spans = list(answer.spans)
    if not gate and answer.objects:
        spans = [(float(answer.stamps[0]), float(answer.stamps[-1]), answer.score)]
    differs = (masks != ungated).any(axis=(1, 2))
    return Prediction(
        video=video.id,
        question=question.id,
        status=answer.status.name,
        text=answer.plain_text,
        score=answer.score,
        spans=spans,
        masks=_by_name(names, masks),
        ungated={n: RunLengths.of(m) for n, m, d in zip(names, ungated, differs, strict=True) if d},
        latencies=asdict(timing),
    )


def _by_name(names: list[str], masks: NDArray[np.bool_]) -> dict[str, RunLengths]:
    return {name: RunLengths.of(mask) for name, mask in zip(names, masks, strict=True)}


def inside(stamp: float, span: tuple[float, float]) -> bool:
    """Whether a stamp lies in a closed span, s."""
    return span[0] - 1e-6 <= stamp <= span[1] + 1e-6
