# SPDX-License-Identifier: Apache-2.0
"""Answered objects masked in live frames, on a thread of their own, until their time is over."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from groundmore_ros.bags.records import LiveMasks, Result
from groundmore_ros.errors import BadFrameError
from groundmore_ros.mora.assistant import Mora
from groundmore_ros.mora.following import Follower
from groundmore_ros.ros.clip_buffer import BufferedFrame, ClipBuffer

__all__ = ["DeliverLive", "FollowThread"]

MOST_BEHIND = 8  # frames that may wait; beyond, the newest is next and the others are skipped

DeliverLive = Callable[[LiveMasks, BufferedFrame | None], None]


@dataclass
class _Followed:
    """One question's objects.

    Attributes:
        buffer: of its camera.
        objects: a follower each.
        until: ns, the stamp at which it ends.
        patience: s of the monotonic clock, when it ends even if no frame comes.
        newest: what was delivered last; ends the stream when it has to end early.
        began: s of the monotonic clock.
    """

    buffer: ClipBuffer
    objects: list[Follower]
    until: int
    patience: float
    newest: LiveMasks
    began: float


class FollowThread:
    """Runs from construction until :meth:`stop`."""

    def __init__(
        self,
        mora: Mora,
        deliver: DeliverLive,
        on_error: Callable[[str], None],
        frame_wait: float,
        most: int,
    ) -> None:
        """Start the thread.

        Args:
            mora: the model.
            deliver: given the masks of each frame, and the frame (None where it ends a stream
                again that has no frame to end with).
            on_error: told of errors.
            frame_wait: s beyond its time that a stream waits for the frame that ends it.
            most: questions that are followed at once.
        """
        self._mora, self._deliver, self._on_error = mora, deliver, on_error
        self._frame_wait, self._most = frame_wait, most
        self._followed: dict[str, _Followed] = {}
        self._running = True
        self._changed = threading.Condition()
        self._delivering = threading.Lock()  # nothing comes after what is marked as the last
        self._thread = threading.Thread(target=self._loop, name="follow", daemon=True)
        self._thread.start()

    def __len__(self) -> int:
        """How many questions are followed."""
        return len(self._followed)

    def add(self, result: Result, buffer: ClipBuffer, seconds: float) -> None:
        """Follow an answer's objects from the frame after its clip.

        The time begins with the answer, however long that took: with the newest frame there is.
        Where as many streams run as may, the oldest ends.
        """
        assert result.answer is not None, "only what was found can be followed"
        try:
            followers = [self._mora.follow(o.prompt) for o in result.answer.objects]
        except Exception as error:  # noqa: BLE001 - the answer has been given
            self._on_error(f"following {result.question_id} failed: {error!r}")
            return
        objects = result.answer.objects
        start = result.stamps[-1]
        newest = LiveMasks(
            result.question_id,
            result.camera,
            start,
            result.frame_ids[-1],
            # Copies: the clip's other masks need not be held for them.
            tuple(o.mask_logits[-1].copy() for o in objects),
            tuple(o.score for o in objects),
        )
        followed = _Followed(
            buffer,
            followers,
            max(start, buffer.newest or start) + round(seconds * 1e9),
            time.monotonic() + seconds + self._frame_wait,
            newest,
            time.monotonic(),
        )
        self._make_room()
        with self._changed:
            self._followed[result.question_id] = followed
            self._changed.notify_all()

    def _make_room(self) -> None:
        while True:
            with self._changed:
                if len(self._followed) < self._most:
                    return
                oldest = min(self._followed, key=lambda k: self._followed[k].began)
            self.cancel(oldest)

    def cancel(self, question_id: str) -> bool:
        """End a question's stream: its newest masks come again, marked as the last."""
        with self._delivering:
            with self._changed:
                followed = self._followed.pop(question_id, None)
            if followed is not None:
                self._deliver_safely(replace(followed.newest, last=True), None)
        return followed is not None

    def frame_arrived(self) -> None:
        """To be called after a buffer has received a frame."""
        with self._changed:
            self._changed.notify_all()

    def stop(self) -> None:
        """End all streams and the thread."""
        with self._changed:
            self._running = False
            self._changed.notify_all()
        if threading.current_thread() is not self._thread:
            self._thread.join()
        for question_id in list(self._followed):
            self.cancel(question_id)

    def _loop(self) -> None:
        while True:
            with self._changed:
                if not self._running:
                    return
                work = self._next()
                if work is None:
                    self._changed.wait(0.2 if self._followed else None)
                    continue
            question_id, followed, frames = work
            if not frames:
                self.cancel(question_id)
                continue
            try:
                self._pass_by(followed, frames[:-1])
                self._mask(question_id, followed, frames[-1])
            except BadFrameError:
                pass  # it is let go below
            except Exception as error:  # noqa: BLE001 - one stream must not end the others
                self._on_error(f"following {question_id} failed: {error!r}")
                self.cancel(question_id)
            followed.buffer.tidy()

    def _next(self) -> tuple[str, _Followed, list[BufferedFrame]] | None:
        """A question and its next frame, after those to skip; no frame: its time is over."""
        for question_id, followed in self._followed.items():
            waiting = followed.buffer.after(followed.newest.stamp)
            if len(waiting) > MOST_BEHIND:
                followed.buffer.counts["follow_skipped"] += len(waiting) - 1
            else:
                waiting = waiting[:1]
            if waiting:
                # To the end of the line: a slow stream must not starve the others.
                self._followed[question_id] = self._followed.pop(question_id)
                return question_id, followed, waiting
            newest = followed.buffer.newest
            went_back = newest is not None and newest < followed.newest.stamp
            if went_back or time.monotonic() > followed.patience:
                return question_id, followed, []
        return None

    def _pass_by(self, followed: _Followed, skipped: list[BufferedFrame]) -> None:
        """Tracks go through frames that others have encoded, though no mask is drawn there."""
        for frame in skipped:
            if frame.encoded:
                features = frame.features(self._mora)
                for follower in followed.objects:
                    follower.pass_by(features)

    def _mask(self, question_id: str, followed: _Followed, frame: BufferedFrame) -> None:
        features = frame.features(self._mora)
        over = frame.stamp >= followed.until
        masks = replace(
            followed.newest,
            stamp=frame.stamp,
            frame_id=frame.frame_id,
            mask_logits=tuple(f.see(features) for f in followed.objects),
            last=over,
        )
        with self._delivering:
            with self._changed:
                if self._followed.get(question_id) is not followed:
                    return  # it was cancelled meanwhile
                followed.newest = masks
                if over:
                    del self._followed[question_id]
            self._deliver_safely(masks, frame)

    def _deliver_safely(self, masks: LiveMasks, frame: BufferedFrame | None) -> None:
        """What publishing raises ends neither this thread nor that of who cancels."""
        try:
            self._deliver(masks, frame)
        except Exception as error:  # noqa: BLE001
            self._on_error(f"delivering masks of {masks.question_id} failed: {error!r}")
