# SPDX-License-Identifier: Apache-2.0
"""Measures how long after a live frame its mask is there: followed, and asked for anew."""

import threading
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundmore_ros.bags.images import decode_compressed, to_jpeg
from groundmore_ros.bags.records import LiveMasks, Result, live_fields
from groundmore_ros.mora.answer import Status
from groundmore_ros.mora.assistant import Mora
from groundmore_ros.ros.clip_buffer import BufferedFrame, ClipBuffer
from groundmore_ros.ros.engine import AnswerEngine, EngineSettings, PendingQuestion

__all__ = ["bench_follow"]

SECOND = 10**9
CLIP = 16  # frames


class _Camera:
    """Sends a recording's frames as JPEGs, in real time; takes note of when, and of each mask."""

    def __init__(self, mora: Mora, frames: Sequence[NDArray[np.uint8]], rate: float) -> None:
        self.files, self.rate = [to_jpeg(f) for f in frames], rate
        self.sent: dict[int, float] = {}
        self.masked: dict[int, float] = {}
        self.answered = threading.Event()
        self.status = Status.FAILED
        self.buffer = ClipBuffer("/camera", rate=rate, seconds=10.0, nbytes=2**30)
        self.engine = AnswerEngine(
            mora,
            [self.buffer],
            EngineSettings(
                clip_frames=CLIP,
                queue_size=100,
                follow_streams=1,
                deadline=60.0,
                frame_wait=1.0,
                encode_ahead="always",
                recent=CLIP / rate,
            ),
            self._on_result,
            deliver_live=self._on_live,
        )

    def _on_result(self, result: Result, frames: list[BufferedFrame]) -> None:
        del frames
        self.status = result.status
        if result.stamps and result.question_id != "followed":
            self.masked[result.stamps[-1]] = time.monotonic()
        self.answered.set()

    def _on_live(self, masks: LiveMasks, frame: BufferedFrame | None) -> None:
        if frame is not None:
            messages = list(live_fields(masks))  # all but what DDS does with them
            self.masked[masks.stamp] = time.monotonic()
            assert messages

    def send(self, count: int) -> None:
        """Send the next frames, each when its time has come."""
        first = len(self.sent)
        began = time.monotonic()
        for k in range(count):
            time.sleep(max(0.0, began + k / self.rate - time.monotonic()))
            stamp = SECOND + round((first + k) * SECOND / self.rate)
            # Back and forth, so that the scene never jumps.
            at = (first + k) % (2 * len(self.files) - 2)
            file = self.files[min(at, 2 * len(self.files) - 2 - at)]
            self.sent[stamp] = time.monotonic()
            self.buffer.judge(stamp)
            decode = partial(decode_compressed, file)
            self.buffer.add(BufferedFrame(stamp, "camera", len(file), decode))
            self.engine.frame_arrived()
            self.on_frame(stamp)

    def on_frame(self, stamp: int) -> None:
        """What a robot does that wants a mask of every frame."""

    def ask(self, question_id: str, question: str, end: int | None, follow: float) -> None:
        """Ask about the newest clip, or the one that ends with a frame."""
        window = (CLIP - 1) / self.rate
        self.engine.submit(
            PendingQuestion(
                question_id, question, self.buffer, end, window, time.monotonic(), follow
            )
        )

    def figures(self, way: str, stamps: list[int]) -> dict[str, Any]:
        """Latencies of the frames with these stamps."""
        late = [self.masked[s] - self.sent[s] for s in stamps if s in self.masked]
        return {
            "way": way,
            "frames": len(stamps),
            "lost": len(stamps) - len(late),
            "latency median (s)": float(np.median(late)),
            "latency p95 (s)": float(np.percentile(late, 95)),
            "frame interval (s)": 1 / self.rate,
        }


def bench_follow(
    mora: Mora,
    frames: Sequence[NDArray[np.uint8]],
    question: str,
    rate: float,
    seconds: float,
) -> list[dict[str, Any]]:
    """Live masks of each frame: by following an answer, and by asking anew for each frame.

    The clock runs from the arrival of a JPEG to the messages of its masks, DDS left out.

    Args:
        mora: the model.
        frames: of a recording that it answers the question about, (H, W, 3) RGB.
        question: about an object.
        rate: Hz, of the camera.
        seconds: how long, each.
    """
    count = round(seconds * rate)
    rows = []
    for way in ("followed", "asked anew"):
        camera = _Camera(mora, frames, rate)
        camera.send(CLIP)
        camera.ask(way, question, None, seconds + 60.0 if way == "followed" else 0.0)
        camera.answered.wait(60.0)
        if camera.status is not Status.OK:
            camera.engine.stop()
            raise AssertionError(f"the answer is {camera.status.name}; expected one to follow")
        before = len(camera.sent)
        if way == "asked anew":
            ask = camera.ask
            camera.on_frame = lambda s, ask=ask: ask(str(s), question, s, 0.0)  # type: ignore[method-assign,misc]
        camera.send(count)
        time.sleep(2.0)
        stamps = sorted(camera.sent)[before:]
        rows.append(camera.figures(way, stamps))
        camera.engine.stop()
    return rows
