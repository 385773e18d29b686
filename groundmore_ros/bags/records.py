# SPDX-License-Identifier: Apache-2.0
"""Results as plain message fields: one description that the node publishes and bags hold.

Times are nanoseconds, as in message stamps.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundmore_ros import run_lengths
from groundmore_ros.mora.answer import Answer, AnsweredObject, Span, Status

__all__ = [
    "Latencies",
    "LiveMasks",
    "Result",
    "answer_fields",
    "event_fields",
    "live_fields",
    "mask_fields",
    "shape_fields",
    "time_fields",
]

Fields = dict[str, Any]


@dataclass
class Latencies:
    """Where the time went, s."""

    queue: float = 0.0
    encode: float = 0.0
    reason: float = 0.0
    decode: float = 0.0


@dataclass(frozen=True)
class Result:
    """A question with what became of it.

    Attributes:
        question_id, question, camera, model: as in the message MotionAnswer.
        status: likewise.
        answer: None where there is none.
        stamps: ns, of the clip's frames.
        frame_ids: of the clip's frames.
        error: why there is no answer.
        latencies: s.
        followed: whether masks of live frames come after those of the clip.
    """

    question_id: str
    question: str
    camera: str
    model: str
    status: Status
    answer: Answer | None = None
    stamps: tuple[int, ...] = ()
    frame_ids: tuple[str, ...] = ()
    error: str = ""
    latencies: Latencies = field(default_factory=Latencies)
    followed: bool = False


@dataclass(frozen=True)
class LiveMasks:
    """An answer's objects in one frame that came after it.

    Attributes:
        question_id, camera: as in the message MotionMask.
        stamp: ns, of the frame.
        frame_id: likewise.
        mask_logits: (H, W) of each object.
        scores: of each object, those of the answer.
        last: whether no more follow.
    """

    question_id: str
    camera: str
    stamp: int
    frame_id: str
    mask_logits: tuple[NDArray[np.float32], ...]
    scores: tuple[float, ...]
    last: bool = False


def time_fields(stamp: int) -> Fields:
    """``builtin_interfaces/Time`` of nanoseconds."""
    return {"sec": stamp // 10**9, "nanosec": stamp % 10**9}


def _header(stamp: int, frame_id: str) -> Fields:
    return {"stamp": time_fields(stamp), "frame_id": frame_id}


def mask_fields(result: Result) -> Iterator[Fields]:
    """``groundmore/MotionMask`` for each frame and object, in stamp order."""
    if result.answer is None:
        return
    objects = result.answer.objects
    for t, stamp in enumerate(result.stamps):
        for k, found in enumerate(objects):
            final = t == len(result.stamps) - 1 and k == len(objects) - 1
            last = final and not result.followed
            yield _mask(result, stamp, t, k, found, last)


def _mask(result: Result, stamp: int, t: int, k: int, found: AnsweredObject, last: bool) -> Fields:
    mask: NDArray[np.bool_] = found.mask_logits[t] > 0
    return {
        "header": _header(stamp, result.frame_ids[t]),
        "question_id": result.question_id,
        "camera": result.camera,
        "object": k,
        **shape_fields(mask),
        "active": bool(found.active[t]),
        "score": float(found.frame_scores[t]),
        "live": False,
        "last": last,
    }


def live_fields(masks: LiveMasks) -> Iterator[Fields]:
    """``groundmore/MotionMask`` for each object; live frames are not gated."""
    for k, (logits, score) in enumerate(zip(masks.mask_logits, masks.scores, strict=True)):
        yield {
            "header": _header(masks.stamp, masks.frame_id),
            "question_id": masks.question_id,
            "camera": masks.camera,
            "object": k,
            **shape_fields(logits > 0),
            "active": True,
            "score": score,
            "live": True,
            "last": masks.last and k == len(masks.scores) - 1,
        }


def shape_fields(mask: NDArray[np.bool_]) -> Fields:
    """The fields of ``groundmore/MotionMask`` that describe a mask (H, W)."""
    left, top, width, height = run_lengths.bounding_box(mask)
    return {
        "height": mask.shape[0],
        "width": mask.shape[1],
        "counts": run_lengths.encode(mask),
        "bbox": {
            "x_offset": left,
            "y_offset": top,
            "height": height,
            "width": width,
            "do_rectify": False,
        },
        "area": int(mask.sum()),
    }


def event_fields(result: Result) -> list[Fields]:
    """``groundmore/EventSpan`` for each span of each object, by start."""
    if result.answer is None:
        return []
    every = [(span, k) for k, found in enumerate(result.answer.objects) for span in found.spans]
    return [_event(result, span, k) for span, k in sorted(every)]


def _event(result: Result, span: Span, k: int) -> Fields:
    start, end = (_nearest(result.stamps, t) for t in span[:2])
    return {
        "header": _header(start, result.frame_ids[-1]),
        "question_id": result.question_id,
        "camera": result.camera,
        "object": k,
        "start": time_fields(start),
        "end": time_fields(end),
        "score": float(span[2]),
    }


def _nearest(stamps: tuple[int, ...], seconds: float) -> int:
    """The frame's own stamp (ns) that a span's end (s) was made from."""
    return min(stamps, key=lambda stamp: abs(stamp / 1e9 - seconds))


def answer_fields(result: Result) -> Fields:
    """``groundmore/MotionAnswer``."""
    answer = result.answer
    start, end = (result.stamps[0], result.stamps[-1]) if result.stamps else (0, 0)
    return {
        "header": _header(end, result.frame_ids[-1] if result.frame_ids else ""),
        "question_id": result.question_id,
        "question": result.question,
        "camera": result.camera,
        "model": result.model,
        "status": int(result.status),
        "answer": answer.plain_text if answer else "",
        "error": result.error,
        "score": answer.score if answer else 0.0,
        "objects": len(answer.objects) if answer else 0,
        "spans": event_fields(result),
        "start": time_fields(start),
        "end": time_fields(end),
        "frames": len(result.stamps),
        "latency_queue": result.latencies.queue,
        "latency_encode": result.latencies.encode,
        "latency_reason": result.latencies.reason,
        "latency_decode": result.latencies.decode,
    }
