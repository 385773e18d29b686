# SPDX-License-Identifier: Apache-2.0
"""The frames of one camera that a question may still be about."""

import threading
from collections import Counter, deque
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from groundmore_ros.bags.sampling import SlotSampler, Verdict
from groundmore_ros.errors import BadFrameError
from groundmore_ros.mora.assistant import EncodedFrame, Mora

__all__ = ["BufferedFrame", "ClipBuffer", "Held"]


class Held(NamedTuple):
    """Bytes, where they are held: in this machine's memory, and on the model's own device."""

    host: int
    device: int


class BufferedFrame:
    """A sampled frame: its message as received, and its features once they are computed."""

    def __init__(
        self, stamp: int, frame_id: str, nbytes: int, decode: Callable[[], NDArray[np.uint8]]
    ) -> None:
        """Stamp in ns; ``decode`` gives (H, W, 3) RGB or raises BadFrameError."""
        self.stamp = stamp
        self.frame_id = frame_id
        self.decode = decode
        self.broken = False
        self._message_bytes = nbytes
        self._features: EncodedFrame | None = None
        self._lock = threading.Lock()

    @property
    def encoded(self) -> bool:
        """Whether the features are there."""
        return self._features is not None

    @property
    def held(self) -> Held:
        """Bytes held; all by the host where the model runs on its processor."""
        features = self._features
        if features is None:
            return Held(self._message_bytes, 0)
        if features.on_host:
            return Held(self._message_bytes + features.nbytes, 0)
        return Held(self._message_bytes, features.nbytes)

    def features(self, mora: Mora) -> EncodedFrame:
        """The features, computed once however many ask.

        Raises:
            BadFrameError: the picture cannot be decoded.
        """
        with self._lock:
            if self._features is None:
                try:
                    self._features = mora.encode(self.decode())
                except BadFrameError:
                    self.broken = True
                    raise
            return self._features


class ClipBuffer:
    """A ring of sampled frames, bounded in seconds and in bytes; the oldest go first.

    Safe for several threads. ``counts`` tells what became of all frames received.
    """

    def __init__(self, camera: str, *, rate: float, seconds: float, nbytes: int) -> None:
        """Rate in Hz, of sampling; seconds and, on the host and on the device each, nbytes."""
        self.camera = camera
        self.counts: Counter[str] = Counter()
        self.stamped = False  # whether any frame came with a stamp of its own
        self._rate = rate
        self._length = round(seconds * 1e9)
        self._most_bytes = nbytes
        self._sampler = SlotSampler(rate)
        self._frames: deque[BufferedFrame] = deque()
        self._newest: int | None = None
        self._lock = threading.Lock()

    @property
    def newest(self) -> int | None:
        """Stamp (ns) of the newest frame received, sampled or not; None before the first."""
        return self._newest

    def judge(self, stamp: int) -> Verdict:
        """Tell whether to add a frame; count it where not. A jump back empties the ring."""
        with self._lock:
            verdict = self._sampler.judge(stamp)
            if verdict is not Verdict.TAKEN:
                self.counts[verdict.value] += 1
            if verdict is Verdict.JUMPED_BACK:
                while self._frames:
                    self._count_lost(self._frames.popleft())
            if verdict is Verdict.SKIPPED:
                self._newest = stamp
            return verdict

    def add(self, frame: BufferedFrame) -> None:
        """Hold a frame that was judged TAKEN or JUMPED_BACK."""
        with self._lock:
            # Only now: who waits for this stamp must find the frame.
            self._newest = frame.stamp
            self._frames.append(frame)
            self.counts["sampled"] += 1
            self._evict()

    def _evict(self) -> None:
        held = self._held()
        newest = self._frames[-1].stamp
        while len(self._frames) > 1 and (
            max(held) > self._most_bytes or self._frames[0].stamp < newest - self._length
        ):
            oldest = self._frames.popleft()
            held = self._held()
            self._count_lost(oldest)

    def _count_lost(self, frame: BufferedFrame) -> None:
        if frame.broken:
            self.counts["broken"] += 1
        elif not frame.encoded:
            self.counts["never_encoded"] += 1

    def _held(self) -> Held:
        held = [f.held for f in self._frames]
        return Held(sum(h.host for h in held), sum(h.device for h in held))

    def between(self, start: int, end: int) -> list[BufferedFrame]:
        """The whole frames with stamps in [start, end] (ns), in order."""
        with self._lock:
            return [f for f in self._frames if start <= f.stamp <= end and not f.broken]

    def after(self, stamp: int) -> list[BufferedFrame]:
        """The whole frames with later stamps (ns), in order."""
        with self._lock:
            return [f for f in self._frames if f.stamp > stamp and not f.broken]

    def unencoded(self, recent: int | None = None) -> BufferedFrame | None:
        """The newest frame without features; with ``recent``, of the newest ns only.

        Where frames come faster than they are encoded, the newest are what a question is about.
        """
        with self._lock:
            for frame in reversed(self._frames):
                if recent is not None and frame.stamp < self._frames[-1].stamp - recent:
                    return None
                if not frame.encoded and not frame.broken:
                    return frame
        return None

    def tidy(self) -> None:
        """Let go of broken frames, and of old ones where features have filled the bound."""
        with self._lock:
            broken = sum(f.broken for f in self._frames)
            if broken:
                self.counts["broken"] += broken
                self._frames = deque(f for f in self._frames if not f.broken)
            if self._frames:
                self._evict()

    def fill(self) -> tuple[int, int, Held]:
        """How many frames are held, how many of them are encoded, and their bytes."""
        with self._lock:
            encoded = sum(f.encoded for f in self._frames)
            return len(self._frames), encoded, self._held()
