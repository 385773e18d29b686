# SPDX-License-Identifier: Apache-2.0
"""Questions to results: one thread encodes frames as they come, one answers, one follows.

Knows nothing of ROS: results go to a callable. Every question gets exactly one result, whatever
happens.
"""

import math
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from groundmore_ros.bags.records import Latencies, Result
from groundmore_ros.bags.sampling import evenly
from groundmore_ros.errors import BadFrameError, BadQuestionError
from groundmore_ros.mora.answer import Status
from groundmore_ros.mora.assistant import EncodedFrame, Mora
from groundmore_ros.mora.question import check_question
from groundmore_ros.ros.clip_buffer import BufferedFrame, ClipBuffer
from groundmore_ros.ros.following import DeliverLive, FollowThread

__all__ = ["AnswerEngine", "EngineSettings", "PendingQuestion"]

FAILED_PAUSE = 0.5  # s, before the encoder is tried again
TOGETHER = 8  # questions about one clip that are answered at once, at most


@dataclass(frozen=True, kw_only=True)
class EngineSettings:
    """How questions are treated.

    Attributes:
        clip_frames: most frames a question uses.
        queue_size: most questions that wait.
        deadline: s, older questions are EXPIRED.
        frame_wait: s, how long a question waits for frames at its stamp.
        encode_ahead: ``always``, ``recent`` or ``on_question``.
        recent: s, the newest window that ``recent`` keeps encoded.
        follow_streams: most answers that are followed at once.
    """

    clip_frames: int
    queue_size: int
    deadline: float
    frame_wait: float
    encode_ahead: str
    recent: float
    follow_streams: int


@dataclass(eq=False)
class PendingQuestion:
    """A question that waits.

    Attributes:
        question_id, question: as asked.
        buffer: of its camera.
        end: ns, the clip's end; None: the newest frame, once there is one.
        window: s.
        arrived: s, of the monotonic clock.
        follow: s, how long live frames are masked after the answer.
        cancelled: its id was used again, or the node goes to rest.
    """

    question_id: str
    question: str
    buffer: ClipBuffer
    end: int | None
    window: float
    arrived: float
    follow: float = 0.0
    cancelled: bool = False


Deliver = Callable[[Result, list[BufferedFrame]], None]


class AnswerEngine:
    """Runs from construction until :meth:`stop`."""

    def __init__(
        self,
        mora: Mora,
        buffers: list[ClipBuffer],
        settings: EngineSettings,
        deliver: Deliver,
        on_error: Callable[[str], None] = lambda text: None,
        deliver_live: DeliverLive = lambda masks, frame: None,
    ) -> None:
        """Start the threads.

        Args:
            mora: the model.
            buffers: the cameras' frames.
            settings: how questions are treated.
            deliver: given each result and the frames it was made from, on the thread that made it.
            on_error: told of errors that are not a question's.
            deliver_live: given the masks of frames that come after an answer.
        """
        self.mora = mora
        self.following = FollowThread(
            mora, deliver_live, on_error, settings.frame_wait, settings.follow_streams
        )
        self.failures = 0
        self.failed_at = -math.inf  # s, of the monotonic clock
        self.last_latencies = Latencies()
        self._buffers = buffers
        self._by_turns = list(buffers)
        self._settings = settings
        self._deliver = deliver
        self._on_error = on_error
        self._waiting: list[PendingQuestion] = []
        self._current: list[PendingQuestion] = []  # in work, about one clip
        self._running = True
        self._changed = threading.Condition()
        self._threads = [
            threading.Thread(target=self._encode_loop, name="encoder", daemon=True),
            threading.Thread(target=self._answer_loop, name="answers", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    @property
    def queue_length(self) -> int:
        """How many questions wait."""
        return len(self._waiting)

    def frame_arrived(self) -> None:
        """To be called after a buffer has received a frame."""
        with self._changed:
            self._changed.notify_all()
        self.following.frame_arrived()

    def submit(self, pending: PendingQuestion) -> None:
        """Take a question; a pending one with the same id is cancelled.

        An empty question only cancels, and is BAD_QUESTION where there is nothing to cancel.
        """
        only_cancels = not pending.question.strip()
        cancelled = self.cancel(pending.question_id)
        if only_cancels and cancelled:
            return
        try:
            check_question(pending.question)
        except BadQuestionError as error:
            self._finish(pending, Status.BAD_QUESTION, str(error))
            return
        with self._changed:
            running, full = self._running, len(self._waiting) >= self._settings.queue_size
            if running and not full:
                self._waiting.append(pending)
                self._changed.notify_all()
        if not running:
            self._finish(pending, Status.CANCELLED, "the node was deactivated")
        elif full:
            waiting = self._settings.queue_size
            self._finish(pending, Status.OVERLOADED, f"{waiting} questions wait already")

    def cancel(self, question_id: str) -> bool:
        """Cancel questions with this id: at once, but for one in work, which is when it is done.

        Returns:
            whether there was one.
        """
        with self._changed:
            found = [q for q in self._waiting if q.question_id == question_id]
            self._waiting = [q for q in self._waiting if q.question_id != question_id]
            working = [q for q in self._current if q.question_id == question_id]
            for pending in working:
                pending.cancelled = True
        for old in found:
            self._finish(old, Status.CANCELLED, "its id was used again")
        return self.following.cancel(question_id) or bool(found or working)

    def stop(self) -> None:
        """Cancel what waits, wait for what is in work, end the threads."""
        with self._changed:
            self._running = False
            waiting, self._waiting = self._waiting, []
            for pending in self._current:
                pending.cancelled = True
            self._changed.notify_all()
        for pending in waiting:
            self._finish(pending, Status.CANCELLED, "the node was deactivated")
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join()
        self.following.stop()

    # --- encoder thread
    # ----------------------------------------------------------------------------

    def _encode_loop(self) -> None:
        while self._running:
            frame = self._next_unencoded()
            if frame is None:
                with self._changed:
                    self._changed.wait(0.5)
                continue
            try:
                frame.features(self.mora)
            except BadFrameError as error:
                self._on_error(f"a frame is left out: {error}")
            except Exception as error:  # noqa: BLE001 - it must not end the thread
                self._failed(f"encoding failed: {error!r}")
                time.sleep(FAILED_PAUSE)  # the frame is good, and is tried again
            for buffer in self._buffers:
                buffer.tidy()

    def _next_unencoded(self) -> BufferedFrame | None:
        mode = self._settings.encode_ahead
        if mode == "on_question":
            return None
        recent = round(self._settings.recent * 1e9) if mode == "recent" else None
        for i, buffer in enumerate(self._by_turns):
            frame = buffer.unencoded(recent)
            if frame is not None:
                # Its camera goes to the end of the line: none can starve another.
                self._by_turns.append(self._by_turns.pop(i))
                return frame
        return None

    def _failed(self, text: str) -> None:
        self.failures += 1
        self.failed_at = time.monotonic()
        self._on_error(text)

    # --- answer thread
    # -----------------------------------------------------------------------------

    def _answer_loop(self) -> None:
        while True:
            with self._changed:
                if not self._running:
                    return
                pending = self._take_ready()
                if pending is None:
                    self._changed.wait(self._patience())
                    continue
                self._current = [pending, *self._take_alike(pending)]
                group = list(self._current)
            self._answer_group(group)

    def _patience(self) -> float | None:
        """Seconds until a waiting question must be looked at even if nothing happens."""
        return 0.05 if self._waiting else None

    def _take_ready(self) -> PendingQuestion | None:
        now = time.monotonic()
        for pending in self._waiting:
            if self._ready(pending, now):
                self._waiting.remove(pending)
                return pending
        return None

    def _take_alike(self, first: PendingQuestion) -> list[PendingQuestion]:
        """Waiting questions about the very same clip: its work is done once for all of them."""
        now, clip = time.monotonic(), self._frames_of(first)
        alike = [
            q
            for q in self._waiting
            if q.buffer is first.buffer and self._ready(q, now) and self._frames_of(q) == clip
        ][: TOGETHER - 1]
        self._waiting = [q for q in self._waiting if q not in alike]
        return alike

    def _ready(self, pending: PendingQuestion, now: float) -> bool:
        newest = pending.buffer.newest
        if newest is not None and (pending.end is None or newest >= pending.end):
            return True
        return now - pending.arrived >= min(self._settings.frame_wait, self._settings.deadline)

    def _answer_group(self, group: list[PendingQuestion]) -> None:
        """Answer questions about one clip; one that fails is tried alone, and fails alone."""
        waiting = [pending for pending in group if not self._expired(pending)]
        if not waiting:
            return
        try:
            for result, frames in self._answer(list(waiting)):
                self._finish_with(waiting.pop(0), result, frames)
        except Exception as error:  # noqa: BLE001 - each question gets its answer all the same
            if len(waiting) == 1:
                self._refuse(waiting[0], error)
            else:
                for pending in waiting:
                    self._answer_group([pending])

    def _expired(self, pending: PendingQuestion) -> bool:
        age, limit = time.monotonic() - pending.arrived, self._settings.deadline
        if age > limit:
            text = f"it waited {age:.1f} s; the deadline is {limit:g} s"
            self._finish(pending, Status.EXPIRED, text)
        return age > limit

    def _refuse(self, pending: PendingQuestion, error: Exception) -> None:
        if isinstance(error, BadQuestionError):
            self._finish(pending, Status.BAD_QUESTION, str(error))
        elif isinstance(error, BadFrameError):
            self._finish(pending, Status.NO_FRAMES, str(error))
        else:
            self._failed(f"answering {pending.question_id} failed: {error!r}")
            self._finish(pending, Status.FAILED, repr(error))

    def _answer(self, group: list[PendingQuestion]) -> Iterator[tuple[Result, list[BufferedFrame]]]:
        """The results of questions about one clip, each as soon as it is there."""
        began = time.monotonic()
        features, kept = self._clip(group[0])
        timing = Latencies(encode=time.monotonic() - began)
        stamps = [f.stamp / 1e9 for f in kept]
        questions = [pending.question for pending in group]
        answers = self.mora.answer_many(features, stamps, questions, timing=timing)
        for pending, answer in zip(group, answers, strict=True):
            self.last_latencies = replace(timing, queue=began - pending.arrived)
            result = replace(
                self._result(pending, answer.status),
                answer=answer,
                stamps=tuple(f.stamp for f in kept),
                frame_ids=tuple(f.frame_id for f in kept),
                latencies=self.last_latencies,
                followed=pending.follow > 0 and answer.status is Status.OK,
            )
            yield result, kept

    def _clip(self, pending: PendingQuestion) -> tuple[list[EncodedFrame], list[BufferedFrame]]:
        """Features of a question's frames, and the frames, all of one size."""
        frames = self._frames_of(pending)
        features = []
        kept = []
        for frame in frames:
            try:
                features.append(frame.features(self.mora))
                kept.append(frame)
            except BadFrameError as error:
                self._on_error(f"a frame is left out: {error}")
        pending.buffer.tidy()
        if len(kept) < len(frames):
            # Others may take the places of the broken ones; what is encoded is not encoded again.
            return self._clip(pending)
        newest = {(f.height, f.width) for f in features[-1:]}
        if len({(f.height, f.width) for f in features}) > 1:
            # The camera changed its resolution: what it sends now is what the question is about.
            same = [i for i, f in enumerate(features) if (f.height, f.width) in newest]
            features, kept = [features[i] for i in same], [kept[i] for i in same]
        if not kept:
            raise BadFrameError(self._why_no_frames(pending))
        return features, kept

    def _frames_of(self, pending: PendingQuestion) -> list[BufferedFrame]:
        """The sampled frames of a question's clip, evenly as many as may be used."""
        end = pending.end if pending.end is not None else pending.buffer.newest
        if end is None:
            return []
        frames = pending.buffer.between(end - round(pending.window * 1e9), end)
        return [frames[i] for i in evenly(len(frames), self._settings.clip_frames)]

    @staticmethod
    def _why_no_frames(pending: PendingQuestion) -> str:
        camera = pending.buffer.camera
        end = pending.end if pending.end is not None else pending.buffer.newest
        if end is None:
            return f"no frame has come from {camera}"
        return f"no frame of {camera} is held for the {pending.window:g} s before {end / 1e9:.3f} s"

    def _result(self, pending: PendingQuestion, status: Status, error: str = "") -> Result:
        return Result(
            question_id=pending.question_id,
            question=pending.question,
            camera=pending.buffer.camera,
            model=self.mora.name,
            status=status,
            error=error,
        )

    def _finish(self, pending: PendingQuestion, status: Status, error: str) -> None:
        self._finish_with(pending, self._result(pending, status, error), [])

    def _finish_with(
        self, pending: PendingQuestion, result: Result, frames: list[BufferedFrame]
    ) -> None:
        with self._changed:
            failed = result.status is Status.FAILED
            if pending in self._current and pending.cancelled and not failed:
                result, frames = self._result(pending, Status.CANCELLED, "it was cancelled"), []
        try:
            self._deliver(result, frames)
        except Exception as error:  # noqa: BLE001 - publishing must not end the thread
            self._failed(f"delivering {pending.question_id} failed: {error!r}")
            if result.status is not Status.FAILED:
                self._finish(pending, Status.FAILED, repr(error))
                return
        if result.followed:
            self.following.add(result, pending.buffer, pending.follow)
        with self._changed:
            if pending in self._current:
                self._current.remove(pending)
            late = pending.cancelled  # while its masks were on their way
        if late:
            self.following.cancel(pending.question_id)
