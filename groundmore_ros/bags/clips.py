# SPDX-License-Identifier: Apache-2.0
"""Clips of a source: one that ends at a time, or consecutive windows."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from groundmore_ros.bags.ahead import decoded_ahead
from groundmore_ros.bags.sampling import SlotSampler, Verdict, evenly
from groundmore_ros.bags.sources import Frame, Source
from groundmore_ros.errors import SourceError

__all__ = [
    "SampledClip",
    "SampledFrame",
    "clip_at",
    "consecutive_clips",
    "end_of",
    "sampled_frames",
]


@dataclass(frozen=True)
class SampledFrame:
    """A kept frame: stamp in ns, camera frame, picture (H, W, 3) uint8 RGB."""

    stamp: int
    frame_id: str
    picture: NDArray[np.uint8]


@dataclass(frozen=True)
class SampledClip:
    """Frames of one window, in stamp order; ``broken`` frames could not be decoded."""

    frames: list[SampledFrame]
    broken: int = 0


def sampled_frames(source: Source, rate: float) -> Iterator[Frame]:
    """The frames that sampling keeps, not yet decoded."""
    sampler = SlotSampler(rate)
    for frame in source.frames():
        if sampler.judge(frame.stamp) in (Verdict.TAKEN, Verdict.JUMPED_BACK):
            yield frame


def clip_at(source: Source, at: float, *, window: float, rate: float, most: int) -> SampledClip:
    """The clip that ends at a time.

    Args:
        source: is read from its beginning, as the sampling rule wants, up to that time; only
            the clip's frames are decoded.
        at: s, a stamp of the source, or an offset from its first frame.
        window: s.
        rate: Hz, of the sampling.
        most: frames, taken evenly.

    Raises:
        SourceError: no frame lies there.
    """
    within: list[Frame] = []
    end = last = None
    length = round(window * 1e9)
    for frame in sampled_frames(source, rate):
        if end is None:
            end = end_of(at, frame.stamp)
        if frame.stamp > end:
            break
        if last is not None and frame.stamp < last:
            within = []  # the clock jumped back: what was before is another recording
        last = frame.stamp
        if frame.stamp >= end - length:
            within.append(frame)
    pictures = list(decoded_ahead(within))
    held = [SampledFrame(f.stamp, f.frame_id, p) for f, p in pictures if p is not None]
    broken = len(within) - len(held)
    if not held:
        why = f" ({broken} could not be decoded)" if broken else ""
        raise SourceError(f"no frames in the {window:g} s before {at:g} s{why}")
    return SampledClip([held[i] for i in evenly(len(held), most)], broken)


def end_of(at: float, first: int) -> int:
    """Nanoseconds of a time that is a stamp, or an offset where it lies before the first stamp."""
    stamp = round(at * 1e9)
    return stamp if stamp >= first else first + stamp


def consecutive_clips(
    source: Source, *, window: float, rate: float, most: int
) -> Iterator[SampledClip]:
    """Windows one after the other; a frame on the border belongs to the earlier one."""
    held: list[SampledFrame] = []
    broken = 0
    end: int | None = None
    length = round(window * 1e9)
    for found, picture in decoded_ahead(sampled_frames(source, rate)):
        if picture is None:
            broken += 1
            continue
        frame = SampledFrame(found.stamp, found.frame_id, picture)
        if end is None:
            end = frame.stamp + length
        if held and (frame.stamp > end or frame.stamp < held[-1].stamp):
            yield SampledClip([held[i] for i in evenly(len(held), most)], broken)
            jumped = frame.stamp < held[-1].stamp
            held, broken = [], 0
            steps = max(1, -(-(frame.stamp - end) // length))
            end = frame.stamp + length if jumped else end + steps * length
        held.append(frame)
    if held:
        yield SampledClip([held[i] for i in evenly(len(held), most)], broken)
