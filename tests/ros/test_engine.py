# SPDX-License-Identifier: Apache-2.0
"""The engine with a model that does as it is told."""

import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from groundmore_ros.bags.records import LiveMasks, Result
from groundmore_ros.bags.sampling import Verdict
from groundmore_ros.errors import BadFrameError
from groundmore_ros.mora.answer import Answer, AnsweredObject, Status
from groundmore_ros.ros.clip_buffer import BufferedFrame, ClipBuffer
from groundmore_ros.ros.engine import AnswerEngine, EngineSettings, PendingQuestion

SECOND = 10**9


class Encoded:
    nbytes = 10
    on_host = True

    def __init__(self, frame: np.ndarray) -> None:
        self.height, self.width = frame.shape[:2]


class FakeMora:
    """Counts calls; waits while ``gate`` is closed; fails where it is asked to."""

    name = "fake"

    def __init__(self) -> None:
        self.encoded = self.seen = self.passed = 0
        self.groups: list[int] = []
        self.fail_at = -1
        self.gate = threading.Event()
        self.gate.set()
        self.answering = threading.Event()

    def encode(self, frame: np.ndarray) -> Encoded:
        self.encoded += 1
        return Encoded(frame)

    def follow(self, prompt: str) -> "FakeMora":
        assert prompt == "prompt"
        return self

    def pass_by(self, frame: Encoded) -> None:
        self.passed += 1

    def see(self, frame: Encoded) -> np.ndarray:
        self.seen += 1
        if self.seen == self.fail_at:
            raise RuntimeError("as asked")
        return np.full((frame.height, frame.width), self.seen, np.float32)

    def answer_many(self, features, stamps, questions, *, timing) -> Iterator[Answer]:  # type: ignore[no-untyped-def]
        self.groups.append(len(questions))
        return (self._answer(stamps, q) for q in questions)

    def _answer(self, stamps, question) -> Answer:  # type: ignore[no-untyped-def]
        self.answering.set()
        self.gate.wait(10)
        if "fail" in question:
            raise RuntimeError("as asked")
        if "follow" in question:
            steps = len(stamps)
            found = AnsweredObject(
                np.ones((steps, 2, 2), np.float32), np.ones(steps, np.float32),
                np.ones(steps, bool), [], 0.5, "prompt",
            )  # fmt: skip
            return Answer("It.", Status.OK, 0.5, np.asarray(stamps), (2, 2), [found])
        return Answer("Nothing.", Status.NO_OBJECT, 0.0, np.asarray(stamps), (2, 2), [])


class Bench:
    """An engine with one camera, and what it delivered."""

    def __init__(self, **settings: object) -> None:
        self.mora = FakeMora()
        self.buffer = ClipBuffer("/image", rate=5.0, seconds=10.0, nbytes=10**6)
        self.results: list[Result] = []
        self.live: list[LiveMasks] = []
        self.errors: list[str] = []
        self.refused = ""
        self.arrived = threading.Condition()
        defaults: dict[str, object] = {
            "clip_frames": 4,
            "queue_size": 3,
            "deadline": 5.0,
            "frame_wait": 0.3,
            "encode_ahead": "always",
            "recent": 1.0,
            "follow_streams": 2,
        }
        self.engine = AnswerEngine(
            self.mora,  # type: ignore[arg-type]
            [self.buffer],
            EngineSettings(**(defaults | settings)),  # type: ignore[arg-type]
            self._deliver,
            self.errors.append,
            self._deliver_live,
        )

    def _deliver_live(self, masks: LiveMasks, frame: BufferedFrame | None) -> None:
        assert (frame is None) or frame.stamp == masks.stamp
        with self.arrived:
            self.live.append(masks)
            self.arrived.notify_all()

    def _deliver(self, result: Result, frames: list[BufferedFrame]) -> None:
        if self.refused == result.status.name:
            raise OSError("no publisher")
        with self.arrived:
            self.results.append(result)
            self.arrived.notify_all()

    def frame(self, stamp: int, decode=lambda: np.zeros((2, 2, 3), np.uint8)) -> None:  # type: ignore[no-untyped-def]
        if self.buffer.judge(stamp) in (Verdict.TAKEN, Verdict.JUMPED_BACK):
            self.buffer.add(BufferedFrame(stamp, "camera", 100, decode))
        self.engine.frame_arrived()

    def ask(
        self,
        question_id: str,
        question: str = "What moves?",
        end: int | None = None,
        follow: float = 0.0,
    ) -> None:
        now = time.monotonic()
        self.engine.submit(
            PendingQuestion(question_id, question, self.buffer, end, 1.0, now, follow)
        )

    def wait_live(self, count: int) -> list[tuple[float, bool]]:
        with self.arrived:
            self.arrived.wait_for(lambda: len(self.live) >= count, 10)
        return [(m.stamp / SECOND, m.last) for m in self.live]

    def wait(self, count: int) -> list[tuple[str, str]]:
        with self.arrived:
            self.arrived.wait_for(lambda: len(self.results) >= count, 10)
        return [(r.question_id, r.status.name) for r in self.results]


def wait_for(there: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not there():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.mora.gate.set()
    made.engine.stop()


def fill(bench: Bench, frames: int = 10) -> None:
    for k in range(frames):
        bench.frame(SECOND + k * SECOND // 5)


def test_frames_are_encoded_once_and_a_clip_is_cut(bench: Bench) -> None:
    fill(bench)
    bench.ask("a")
    bench.ask("b")
    assert bench.wait(2) == [("a", "NO_OBJECT"), ("b", "NO_OBJECT")]
    assert bench.mora.encoded <= 10
    # The window of 1 s before the newest stamp, 2.8 s, holds six frames; four are used, evenly.
    assert bench.results[0].stamps == tuple(int(s * SECOND) for s in (1.8, 2.2, 2.4, 2.8))


def test_a_question_waits_for_its_frames(bench: Bench) -> None:
    fill(bench, 3)
    bench.ask("late", end=int(1.6 * SECOND))
    time.sleep(0.1)
    assert bench.results == []
    bench.frame(int(1.6 * SECOND))
    assert bench.wait(1) == [("late", "NO_OBJECT")]
    assert bench.results[0].stamps[-1] == int(1.6 * SECOND)


def test_a_waiting_question_does_not_hold_up_others(bench: Bench) -> None:
    fill(bench, 3)
    bench.ask("future", end=int(1.6 * SECOND))
    bench.ask("now")
    assert bench.wait(1) == [("now", "NO_OBJECT")]
    assert bench.wait(2)[1] == ("future", "NO_OBJECT")


def test_no_frames(bench: Bench) -> None:
    bench.ask("none yet")
    assert bench.wait(1) == [("none yet", "NO_FRAMES")]
    fill(bench)
    bench.ask("long ago", end=1)
    assert bench.wait(2)[1] == ("long ago", "NO_FRAMES")
    assert "no frame of /image is held" in bench.results[1].error


def test_bad_questions(bench: Bench) -> None:
    fill(bench)
    bench.ask("empty", " ")
    bench.ask("long", "x" * 100_000)
    assert bench.wait(2) == [("empty", "BAD_QUESTION"), ("long", "BAD_QUESTION")]


def test_overload_is_told_at_once_and_each_question_gets_one_answer(bench: Bench) -> None:
    fill(bench)
    bench.mora.gate.clear()
    bench.ask("first")
    bench.mora.answering.wait(5)
    for k in range(1000):
        bench.ask(str(k))
    with bench.arrived:
        overloaded = [r for r in bench.results if r.status is Status.OVERLOADED]
    assert len(overloaded) == 997
    bench.mora.gate.set()
    bench.wait(1001)
    assert len({r.question_id for r in bench.results}) == len(bench.results) == 1001


def test_questions_expire() -> None:
    bench = Bench(deadline=0.2)
    fill(bench)
    bench.mora.gate.clear()
    bench.ask("first")
    bench.mora.answering.wait(5)
    bench.ask("second")
    time.sleep(0.3)
    bench.mora.gate.set()
    assert bench.wait(2) == [("first", "NO_OBJECT"), ("second", "EXPIRED")]
    bench.engine.stop()


def test_recent_encodes_the_newest_window_only() -> None:
    bench = Bench(encode_ahead="recent")
    busy, gate = threading.Event(), threading.Event()

    def slow() -> np.ndarray:
        busy.set()
        gate.wait(10)
        return np.zeros((2, 2, 3), np.uint8)

    bench.frame(SECOND, slow)  # the encoder is busy with this one while the others arrive
    assert busy.wait(5)
    for k in range(1, 21):
        bench.frame(SECOND + k * SECOND // 5)
    gate.set()
    deadline = time.monotonic() + 5
    while bench.buffer.fill()[1] < 7 and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.1)
    assert bench.buffer.fill()[:2] == (21, 7)  # the first, and the 6 of the newest second
    bench.engine.stop()


def test_cameras_take_turns() -> None:
    bench = Bench(encode_ahead="on_question")
    other = ClipBuffer("/other", rate=5.0, seconds=10.0, nbytes=10**6)
    order: list[str] = []
    for buffer in (bench.buffer, other):
        for k in range(3):
            stamp = SECOND + k * SECOND // 5

            def decode(camera: str = buffer.camera) -> np.ndarray:
                order.append(camera)
                return np.zeros((2, 2, 3), np.uint8)

            assert buffer.judge(stamp) is Verdict.TAKEN
            buffer.add(BufferedFrame(stamp, "camera", 100, decode))
    settings = EngineSettings(
        clip_frames=4,
        queue_size=3,
        deadline=5,
        frame_wait=1,
        encode_ahead="always",
        recent=1,
        follow_streams=1,
    )
    engine = AnswerEngine(
        bench.mora,  # type: ignore[arg-type]
        [bench.buffer, other],
        settings,
        lambda *_: None,
    )
    deadline = time.monotonic() + 5
    while len(order) < 6 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert order == ["/image", "/other"] * 3
    engine.stop()
    bench.engine.stop()


def test_an_id_used_again_cancels_the_waiting_question(bench: Bench) -> None:
    fill(bench)
    bench.mora.gate.clear()
    bench.ask("first")
    bench.mora.answering.wait(5)
    bench.ask("twice", "old")
    bench.ask("twice", "new")
    bench.ask("gone")
    bench.ask("gone", "")
    bench.mora.gate.set()
    bench.wait(4)
    told = [(r.question_id, r.question, r.status.name) for r in bench.results]
    assert ("twice", "old", "CANCELLED") in told
    assert ("twice", "new", "NO_OBJECT") in told
    assert ("gone", "What moves?", "CANCELLED") in told
    assert len(told) == 4


def test_a_question_in_work_is_cancelled_too(bench: Bench) -> None:
    fill(bench)
    bench.mora.gate.clear()
    bench.ask("work")
    bench.mora.answering.wait(5)
    bench.ask("work", "")
    bench.mora.gate.set()
    assert bench.wait(1) == [("work", "CANCELLED")]
    assert bench.results[0].answer is None


def test_a_failing_model_is_an_answer_and_the_engine_goes_on(bench: Bench) -> None:
    fill(bench)
    bench.ask("bad", "please fail")
    bench.ask("good")
    assert bench.wait(2) == [("bad", "FAILED"), ("good", "NO_OBJECT")]
    assert bench.engine.failures == 1
    assert time.monotonic() - bench.engine.failed_at < 10
    assert "as asked" in bench.errors[0]


def test_broken_frames_are_left_out_and_counted(bench: Bench) -> None:
    def broken() -> np.ndarray:
        raise BadFrameError("no picture")

    bench.frame(SECOND, broken)
    fill(bench)
    bench.ask("a")
    assert bench.wait(1) == [("a", "NO_OBJECT")]
    wait_for(lambda: bench.buffer.counts["broken"] == 1)


def test_stop_cancels_what_waits() -> None:
    bench = Bench()
    fill(bench)
    bench.mora.gate.clear()
    bench.ask("work")
    bench.mora.answering.wait(5)
    bench.ask("waits")
    threading.Timer(0.2, bench.mora.gate.set).start()
    bench.engine.stop()
    assert sorted(bench.wait(2)) == [("waits", "CANCELLED"), ("work", "CANCELLED")]


def test_on_question_encodes_nothing_ahead() -> None:
    bench = Bench(encode_ahead="on_question")
    fill(bench)
    time.sleep(0.1)
    assert bench.mora.encoded == 0
    bench.ask("a")
    bench.wait(1)
    assert bench.mora.encoded == 4
    bench.engine.stop()


def test_what_questions_encode_is_bounded_too() -> None:
    bench = Bench(encode_ahead="on_question")
    bench.buffer = bench.engine._buffers[0] = ClipBuffer(
        "/image", rate=5.0, seconds=100.0, nbytes=10 * 105
    )
    fill(bench)  # 100 bytes each; 10 more with features
    try:
        for k in range(10):
            bench.ask(str(k), end=SECOND + k * SECOND // 5)
            bench.wait(k + 1)
        assert bench.buffer.fill()[2].host <= 10 * 105
    finally:
        bench.engine.stop()


def test_an_encoder_that_fails_for_a_while_loses_no_frame(bench: Bench) -> None:
    encode, failures = bench.mora.encode, iter(range(2))

    def failing(frame: np.ndarray) -> Encoded:
        if next(failures, None) is not None:
            raise RuntimeError("out of memory")
        return encode(frame)

    bench.mora.encode = failing  # type: ignore[method-assign]
    fill(bench)
    wait_for(lambda: bench.buffer.fill()[1] == 10)
    assert bench.buffer.counts["broken"] == 0
    assert bench.engine.failures == 2
    assert "out of memory" in bench.errors[0]


def test_an_answer_that_cannot_be_delivered_is_a_failed_one(bench: Bench) -> None:
    fill(bench)
    bench.refused = "NO_OBJECT"
    bench.ask("a")
    assert bench.wait(1) == [("a", "FAILED")]
    assert "no publisher" in bench.results[0].error


def test_after_a_change_of_resolution_the_newest_frames_are_used(bench: Bench) -> None:
    fill(bench, 3)
    for k in (3, 4):
        bench.frame(SECOND + k * SECOND // 5, lambda: np.zeros((4, 6, 3), np.uint8))
    bench.ask("a")
    assert bench.wait(1) == [("a", "NO_OBJECT")]
    assert bench.results[0].stamps == (int(1.6 * SECOND), int(1.8 * SECOND))


def test_an_answer_is_followed_until_its_time_is_over(bench: Bench) -> None:
    fill(bench, 3)
    bench.ask("a", "follow it", follow=0.5)
    assert bench.wait(1) == [("a", "OK")]
    assert bench.results[0].followed
    for k in range(3, 9):  # from 1.6 s; the clip ended at 1.4 s
        bench.frame(SECOND + k * SECOND // 5)
    assert bench.wait_live(3) == [(1.6, False), (1.8, False), (2.0, True)]
    time.sleep(0.1)
    assert len(bench.live) == 3
    assert bench.mora.encoded <= 9  # each frame once, whoever asks
    assert [float(m.mask_logits[0][0, 0]) for m in bench.live] == [1.0, 2.0, 3.0]


def test_following_begins_with_the_answer_however_long_that_took(bench: Bench) -> None:
    fill(bench, 3)  # the clip ends at 1.4 s
    bench.mora.gate.clear()
    bench.ask("a", "follow it", follow=0.5)
    bench.mora.answering.wait(10)
    for k in range(3, 15):  # to 3.8 s, more frames than may wait
        bench.frame(SECOND + k * SECOND // 5)
    wait_for(lambda: bench.buffer.fill()[1] == 15)
    bench.mora.gate.set()
    assert bench.wait_live(1) == [(3.8, False)]
    assert bench.mora.passed == 11  # the track goes through what is not drawn
    assert bench.buffer.counts["follow_skipped"] == 11
    for k in range(15, 19):
        bench.frame(SECOND + k * SECOND // 5)
    assert bench.wait_live(4)[1:] == [(4.0, False), (4.2, False), (4.4, True)]


def test_a_further_stream_ends_the_oldest(bench: Bench) -> None:
    fill(bench, 3)
    for question_id in ("a", "b", "c"):  # follow_streams is 2
        bench.ask(question_id, "follow it", follow=60.0)
    assert bench.wait_live(1) == [(1.4, True)]
    assert bench.live[0].question_id == "a"
    bench.frame(SECOND + 3 * SECOND // 5)
    bench.wait_live(3)
    assert {m.question_id for m in bench.live[1:]} == {"b", "c"}


@pytest.mark.parametrize("ending", ["empty", "again", "stop"])
def test_following_ends_when_it_is_told_to(bench: Bench, ending: str) -> None:
    fill(bench, 3)
    bench.ask("a", "follow it", follow=60.0)
    bench.wait(1)
    bench.frame(SECOND + 3 * SECOND // 5)
    assert bench.wait_live(1) == [(1.6, False)]
    if ending == "stop":
        bench.engine.stop()
    else:
        bench.ask("a", "" if ending == "empty" else "What moves?")
    # The newest mask again, marked as the last; no CANCELLED answer, as one was sent.
    assert bench.wait_live(2)[1] == (1.6, True)
    bench.frame(SECOND + 4 * SECOND // 5)
    time.sleep(0.1)
    assert len(bench.live) == 2
    assert bench.wait(1 + (ending == "again"))[0] == ("a", "OK")
    assert "CANCELLED" not in {r.status.name for r in bench.results}


def test_following_ends_where_no_frames_come(bench: Bench) -> None:
    fill(bench, 3)
    bench.ask("a", "follow it", follow=0.2)
    bench.wait(1)
    assert bench.wait_live(1) == [(1.4, True)]  # 0.2 s and frame_wait later


def test_a_stream_that_fails_ends_and_says_so(bench: Bench) -> None:
    fill(bench, 3)
    bench.mora.fail_at = 1
    bench.ask("a", "follow it", follow=60.0)
    bench.wait(1)
    bench.frame(SECOND + 3 * SECOND // 5)
    assert bench.wait_live(1) == [(1.4, True)]
    assert "following a failed" in bench.errors[0]


def test_a_slow_encoder_keeps_to_the_newest_frames_and_says_what_it_skipped() -> None:
    bench = Bench(encode_ahead="always")
    encode, seen = bench.mora.encode, []

    def slow(frame: np.ndarray) -> Encoded:
        seen.append(int(frame[0, 0, 0]))
        time.sleep(0.05)
        return encode(frame)

    bench.mora.encode = slow  # type: ignore[method-assign]
    try:
        for k in range(120):  # 24 s of frames in about 0.6 s; the ring holds 10 s of them
            picture = np.full((2, 2, 3), k, np.uint8)
            bench.frame(SECOND + k * SECOND // 5, lambda picture=picture: picture)
            time.sleep(0.005)
        held, encoded, _ = bench.buffer.fill()
        assert held == 51  # bounded, whatever waits
        assert encoded < 40
        # It jumps ahead instead of working through what is old: the first few are far apart.
        assert seen[4] > 6
        assert bench.buffer.counts["never_encoded"] > 40
        bench.ask("now")
        assert bench.wait(1) == [("now", "NO_OBJECT")]
        used = bench.results[0].stamps
        assert used[-1] == SECOND + 119 * SECOND // 5
        assert len(used) == 4  # those of the clip, encoded where they were not
    finally:
        bench.engine.stop()


def test_questions_about_one_clip_are_answered_together_and_fail_alone(bench: Bench) -> None:
    fill(bench)
    bench.mora.gate.clear()
    bench.ask("busy")
    bench.mora.answering.wait(10)
    for question_id, question in (("a", "What moves?"), ("b", "fail"), ("c", "Who moves?")):
        bench.ask(question_id, question, end=int(2.0 * SECOND))
    bench.mora.gate.set()
    answered = bench.wait(4)
    assert answered == [
        ("busy", "NO_OBJECT"), ("a", "NO_OBJECT"), ("b", "FAILED"), ("c", "NO_OBJECT"),
    ]  # fmt: skip
    assert bench.mora.groups == [1, 3, 1, 1]  # what was answered is not asked again
    assert bench.results[1].stamps == bench.results[3].stamps
    assert bench.results[1].stamps[-1] == 2 * SECOND


def test_no_stream_starves_another(bench: Bench) -> None:
    fill(bench, 3)
    for question_id in ("a", "b"):
        bench.ask(question_id, "follow it", follow=60.0)
    bench.wait(2)
    see = bench.mora.see

    def slow(frame: Encoded) -> np.ndarray:
        time.sleep(0.03)
        return see(frame)

    bench.mora.see = slow  # type: ignore[method-assign]
    for k in range(3, 9):
        bench.frame(SECOND + k * SECOND // 5)
    bench.wait_live(4)
    assert {m.question_id for m in bench.live[:4]} == {"a", "b"}


def test_an_answer_that_is_cancelled_while_it_is_delivered_is_not_followed() -> None:
    bench = Bench()
    deliver = bench.engine._deliver

    def cancelling(result: Result, frames: list[BufferedFrame]) -> None:
        deliver(result, frames)
        if result.followed:
            assert bench.engine.cancel(result.question_id)

    bench.engine._deliver = cancelling
    try:
        fill(bench, 3)
        bench.ask("a", "follow it", follow=60.0)
        assert bench.wait(1) == [("a", "OK")]
        assert bench.wait_live(1) == [(1.4, True)]
        bench.frame(SECOND + 3 * SECOND // 5)
        time.sleep(0.1)
        assert len(bench.live) == 1
    finally:
        bench.engine.stop()


def test_publishing_that_fails_ends_no_thread(bench: Bench) -> None:
    fill(bench, 3)
    bench.ask("a", "follow it", follow=60.0)
    bench.wait(1)
    live = bench.engine.following._deliver
    bench.engine.following._deliver = lambda masks, frame: (_ for _ in ()).throw(OSError("gone"))
    bench.frame(SECOND + 3 * SECOND // 5)
    wait_for(lambda: bool(bench.errors))
    assert "delivering masks of a failed" in bench.errors[0]
    bench.engine.following._deliver = live
    bench.frame(SECOND + 4 * SECOND // 5)
    assert bench.wait_live(1) == [(1.8, False)]
