# SPDX-License-Identifier: Apache-2.0
"""The node over real DDS, with the shipped model."""

import gc
import re
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import String

from groundmore.msg import EventSpan, MotionAnswer, MotionMask, MotionQuestion
from groundmore_ros.bags.images import to_jpeg
from groundmore_ros.bags.records import time_fields
from groundmore_ros.bags.sources import stamp_of
from groundmore_ros.mora.answer import Status
from groundmore_ros.ros.conversions import fill
from groundmore_ros.ros.node import MoraNode
from groundmore_ros.simulation import generate

SECOND = 10**9
START = 1000 * SECOND
PATIENCE = 30.0
MASKS = QoSProfile(depth=2000, reliability=ReliabilityPolicy.RELIABLE)
ANSWERS = QoSProfile(
    depth=64, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)
PICTURE = np.random.default_rng(0).integers(0, 255, (60, 80, 3), np.uint8)


@pytest.fixture(scope="module", autouse=True)
def _ros() -> Iterator[None]:
    rclpy.init()
    yield
    rclpy.try_shutdown()


class World:
    """A node under test and a robot that talks to it, each spun by a thread of its own."""

    def __init__(self, namespace: str = "", **parameters: Any) -> None:
        overrides = [Parameter(name, value=value) for name, value in parameters.items()]
        self.node = MoraNode(namespace=namespace, parameter_overrides=overrides)
        self.robot = rclpy.create_node("robot", namespace=namespace)
        self.answers: list[Any] = []
        self.masks: list[Any] = []
        self.events: list[Any] = []
        self.diagnostics: list[Any] = []
        prefix = f"{namespace}/mora"
        for kind, name, store, qos in (
            (MotionAnswer, "answers", self.answers, ANSWERS),
            (MotionMask, "masks", self.masks, MASKS),
            (EventSpan, "events", self.events, MASKS),
        ):
            self.robot.create_subscription(kind, f"{prefix}/{name}", store.append, qos)
        self.robot.create_subscription(DiagnosticArray, "/diagnostics", self.diagnostics.append, 10)
        self.questions = self.robot.create_publisher(MotionQuestion, f"{prefix}/question", 2000)
        self.texts = self.robot.create_publisher(String, f"{prefix}/question_text", 10)
        self._running = True
        self._spinning: list[tuple[Any, threading.Thread]] = []
        for each in (self.node, self.robot):
            executor = SingleThreadedExecutor()
            executor.add_node(each)
            thread = threading.Thread(target=self._spin, args=(executor,), daemon=True)
            thread.start()
            self._spinning.append((executor, thread))

    def start(self) -> "World":
        for name in ("configure", "activate"):
            assert self.transition(name) == "SUCCESS"
        self.wait(lambda: self.questions.get_subscription_count() > 0)
        self.wait(lambda: self.texts.get_subscription_count() > 0)
        return self

    def transition(self, name: str) -> str:
        """As by its service: on the thread that runs the node's callbacks."""
        executor, _ = self._spinning[0]
        task = executor.create_task(getattr(self.node, f"trigger_{name}"))
        self.wait(task.done)
        return str(task.result().name)

    def wait(self, done: Callable[[], Any], patience: float = PATIENCE) -> None:
        deadline = time.monotonic() + patience
        while not done():
            assert time.monotonic() < deadline, "waited in vain"
            time.sleep(0.02)

    def camera(self, topic: str = "/image", kind: Any = Image, qos: Any = 10) -> "Camera":
        return Camera(self.robot.create_publisher(kind, topic, qos), kind)

    def ask(self, question: str = "Which object moves first?", **fields: Any) -> str:
        message = fill(MotionQuestion(), {"question": question} | fields)
        message.question_id = message.question_id or f"q{time.monotonic_ns()}"
        self.questions.publish(message)
        return str(message.question_id)

    def answer(self, question_id: str) -> Any:
        def found() -> list[Any]:
            return [a for a in self.answers if a.question_id == question_id]

        self.wait(found)
        return found()[0]

    def received(self, camera: int = 0) -> int:
        buffers = self.node._buffers
        return buffers[camera].counts["sampled"] if buffers else 0

    def _spin(self, executor: Any) -> None:
        while self._running:
            executor.spin_once(timeout_sec=0.05)

    def close(self) -> None:
        self._running = False
        for executor, thread in self._spinning:
            thread.join()
            executor.shutdown()
        self.node.close()
        self.node.destroy_node()
        self.robot.destroy_node()


class Camera:
    """A publisher of frames at 5 Hz of their own time, as fast as they are taken."""

    def __init__(self, publisher: Any, kind: Any) -> None:
        self.publisher, self.kind = publisher, kind

    def send(self, stamp: int, picture: np.ndarray = PICTURE, **changes: Any) -> None:
        if self.kind is CompressedImage:
            message = CompressedImage(format="jpeg", data=to_jpeg(picture))
        else:
            message = Image(
                height=picture.shape[0],
                width=picture.shape[1],
                encoding="rgb8",
                step=3 * picture.shape[1],
                data=picture.tobytes(),
            )
        message.header = fill(
            message.header, {"stamp": time_fields(stamp), "frame_id": "camera_optical"}
        )
        for name, value in changes.items():
            setattr(message, name, value)
        self.publisher.publish(message)

    def film(self, world: World, start: int = START, frames: int = 16, camera: int = 0) -> None:
        """Send a clip and wait until it is buffered."""
        world.wait(lambda: self.publisher.get_subscription_count() > 0)
        before = world.received(camera)
        for k in range(frames):
            self.send(start + k * SECOND // 5)
            time.sleep(0.005)
        world.wait(lambda: world.received(camera) - before >= frames)


@pytest.fixture
def world() -> Iterator[World]:
    made = World().start()
    yield made
    made.close()


@pytest.mark.parametrize("reliability", ["RELIABLE", "BEST_EFFORT"])
@pytest.mark.parametrize("node_first", [True, False])
def test_frames_arrive(reliability: str, node_first: bool) -> None:
    world = World()
    qos = QoSProfile(depth=20, reliability=ReliabilityPolicy[reliability])
    try:
        if node_first:
            world.start()
            time.sleep(0.5)
            camera = world.camera(qos=qos)
        else:
            camera = world.camera(qos=qos)
            time.sleep(0.5)
            world.start()
        camera.film(world)
        assert world.answer(world.ask()).frames == 16
    finally:
        world.close()


def test_a_publisher_that_offers_less_is_heard_after_one_that_offers_more(world: World) -> None:
    world.camera(qos=QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)).film(world)
    late = world.camera(qos=QoSProfile(depth=20, reliability=ReliabilityPolicy.BEST_EFFORT))
    late.film(world, START + 20 * SECOND, frames=5)
    assert world.received() == 21


def test_another_camera_after_deactivation() -> None:
    """The first camera's quality of service is not taken for the user's wish."""
    world = World().start()
    try:
        first = world.camera(qos=QoSProfile(depth=20, reliability=ReliabilityPolicy.RELIABLE))
        first.film(world, frames=3)
        assert world.transition("deactivate") == "SUCCESS"
        world.robot.destroy_publisher(first.publisher)
        late = QoSProfile(depth=20, reliability=ReliabilityPolicy.BEST_EFFORT)
        camera = world.camera(qos=late)
        assert world.transition("activate") == "SUCCESS"
        camera.film(world, START + 20 * SECOND, frames=5)
    finally:
        world.close()


def test_a_users_quality_of_service_stands() -> None:
    override = {"qos_overrides./image.subscription.reliability": "best_effort"}
    world = World(**override).start()
    try:
        world.camera(qos=QoSProfile(depth=20, reliability=ReliabilityPolicy.RELIABLE)).film(world)
        (info,) = world.robot.get_subscriptions_info_by_topic("/image")
        assert info.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT
    finally:
        world.close()


def test_results_carry_the_frames_stamps_in_order_and_come_before_the_answer(sample: Any) -> None:
    from groundmore_ros.bags.truth import read_truth

    truth = read_truth(sample)
    world = World().start()
    try:
        camera = world.camera(qos=50)
        world.wait(lambda: camera.publisher.get_subscription_count() > 0)
        for stamp, picture in truth.pictures.items():
            camera.send(stamp, picture)
        world.wait(lambda: world.received() == len(truth.pictures))
        answers = [
            world.answer(world.ask(a.question, header={"stamp": time_fields(a.end)}))
            for a in truth.answers
        ]
        found = [a for a in answers if a.status == Status.OK]
        assert found, "the model found no object in the whole sample"
        for answer in found:
            world.wait(partial(_complete, world, answer))
            stamps = [stamp_of(m.header) for m in _of(world.masks, answer)]
            assert stamps == sorted(stamps)
            assert set(stamps) == set(truth.pictures)
            assert {m.header.frame_id for m in _of(world.masks, answer)} == {"camera_optical"}
            assert _of(world.masks, answer)[-1].last
            world.wait(partial(_heard, world, answer))
            events = _of(world.events, answer)
            assert [e.start for e in events] == [s.start for s in answer.spans]
            assert {stamp_of(e.header) for e in events} <= set(truth.pictures)
        for answer in answers:
            assert answer.latency_reason > 0
    finally:
        world.close()


def _complete(world: World, answer: Any) -> bool:
    return len(_of(world.masks, answer)) == answer.frames * answer.objects


def _heard(world: World, answer: Any) -> bool:
    return len(_of(world.events, answer)) == len(answer.spans)


def _of(messages: list[Any], answer: Any) -> list[Any]:
    return [m for m in messages if m.question_id == answer.question_id]


def test_question_text_is_answered_about_the_newest_frames(world: World) -> None:
    world.camera().film(world)
    world.texts.publish(String(data="What moves?"))
    world.wait(lambda: world.answers)
    assert stamp_of(world.answers[0].header) == START + 3 * SECOND
    assert len(world.answers[0].question_id) == 36


def test_compressed_images() -> None:
    world = World(image_transport="compressed").start()
    try:
        world.camera("/image/compressed", CompressedImage).film(world)
        assert world.answer(world.ask()).frames == 16
    finally:
        world.close()


def test_one_model_several_cameras() -> None:
    world = World(image_topics=["left/image", "/right/image"]).start()
    try:
        world.camera("/left/image").film(world, camera=0)
        world.camera("/right/image").film(world, START + 50 * SECOND, frames=5, camera=1)
        assert world.answer(world.ask()).camera == "/left/image"
        for name in ("left/image", "/left/image"):
            assert world.answer(world.ask(camera=name)).frames == 16
        right = world.answer(world.ask(camera="/right/image"))
        assert right.frames == 5
        wrong = world.answer(world.ask(camera="/nowhere"))
        assert wrong.status == Status.BAD_QUESTION
        assert "/left/image, /right/image" in wrong.error
    finally:
        world.close()


def test_two_nodes_in_namespaces_of_their_own() -> None:
    first, second = World("/one").start(), World("/two").start()
    try:
        first.camera("/one/image").film(first)
        assert first.answer(first.ask()).frames == 16
        second.camera("/two/image").film(second, frames=5)
        assert second.answer(second.ask()).frames == 5
        assert len(first.answers) == len(second.answers) == 1
    finally:
        first.close()
        second.close()


def test_a_bag_that_loops(world: World) -> None:
    camera = world.camera()
    camera.film(world)
    camera.film(world)
    counts = world.node._buffers[0].counts
    assert counts["jumped_back"] == 1
    answer = world.answer(world.ask())
    assert (answer.frames, stamp_of(answer.header)) == (16, START + 3 * SECOND)


def test_an_answer_is_followed_in_live_frames(world: World) -> None:
    episode = generate(1_000_301)
    question = next(q for q in episode.questions if q.type == "Referring")
    camera = world.camera()
    world.wait(lambda: camera.publisher.get_subscription_count() > 0)

    def send(k: int) -> int:
        stamp = START + k * SECOND // 5
        camera.send(stamp, np.ascontiguousarray(episode.frames[k]))
        return stamp

    for k in range(10):
        send(k)
    world.wait(lambda: world.received() == 10)
    question_id = world.ask(question.text, follow=0.9)
    answer = world.answer(question_id)
    assert answer.status == Status.OK
    live = []
    for k in range(10, 15):  # the last is 1.0 s after the clip's end
        live.append(send(k))
        world.wait(lambda: sum(m.live for m in world.masks) == len(live))
    send(15)
    masks = [m for m in world.masks if m.live]
    assert [stamp_of(m.header) for m in masks] == live
    assert [m.last for m in masks] == [False] * 4 + [True]
    assert not any(m.last for m in world.masks if not m.live)
    assert all(m.active and m.question_id == question_id for m in masks)
    assert any(m.area for m in masks)
    time.sleep(0.2)
    assert sum(m.live for m in world.masks) == 5


def _masks_of(backend: str, engines: Path, episode: Any) -> list[list[int]]:
    world = World(encoder=backend, decoder=backend, engines=str(engines)).start()
    try:
        camera = world.camera()
        world.wait(lambda: camera.publisher.get_subscription_count() > 0)
        for k, frame in enumerate(episode.frames):
            camera.send(START + k * SECOND // 5, np.ascontiguousarray(frame))
        world.wait(lambda: world.received() == len(episode.frames))
        assert world.answer(world.ask("The orange ball")).status == Status.OK
        world.wait(lambda: len(world.masks) == len(episode.frames))
        assert world.node.mora is not None
        assert world.node.mora.backends["decoder"].startswith(backend)
        return [list(m.counts) for m in world.masks]
    finally:
        world.close()


def test_the_whole_node_on_onnx_runtime(nano_engines: Path) -> None:
    """The same frames and question to a node on torch and to one on ONNX Runtime."""
    episode = generate(1_000_303)
    torchs, onnxs = (_masks_of(b, nano_engines, episode) for b in ("torch", "onnx"))
    assert torchs == onnxs


def test_a_late_subscriber_gets_the_answers(world: World) -> None:
    world.camera().film(world)
    question_id = world.ask()
    world.answer(question_id)
    late: list[Any] = []
    world.robot.create_subscription(MotionAnswer, "/mora/answers", late.append, ANSWERS)
    world.wait(lambda: late)
    assert late[0].question_id == question_id


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"question": ""}, "the question is empty"),
        ({"question": "x" * 100_000}, "100000 characters"),
        ({"question": "What moves?", "follow": -1.0}, "follow is -1 s"),
        ({"question": "What moves?", "window": -1.0}, "window is -1"),
        ({"question": "What moves?", "window": 1e9}, "window is 1e\\+09"),
        ({"question": "What moves?", "header": {"stamp": {"sec": -5, "nanosec": 0}}}, "stamp is"),
    ],
)
def test_bad_questions(world: World, fields: dict[str, Any], complaint: str) -> None:
    world.camera().film(world, frames=2)
    answer = world.answer(world.ask(**fields))
    assert answer.status == Status.BAD_QUESTION
    assert re.search(complaint, answer.error)


def test_hostile_questions_are_answered(world: World) -> None:
    world.camera().film(world)
    texts = (
        "[SEG] [LOC] [SEG]",
        "<s></s><im_start><image><im_end>",
        "\ufffd\u0000\u200b?",
        "\U0001f600" * 50,
        "x " * 200,
    )
    for text in texts:
        answer = world.answer(world.ask(text))
        assert answer.status in (Status.OK, Status.NO_OBJECT), (text, answer.error)


def test_a_thousand_questions_get_a_thousand_answers(world: World) -> None:
    world.camera().film(world)
    answers = QoSProfile(depth=2000, reliability=ReliabilityPolicy.RELIABLE)
    seen: list[Any] = []
    world.robot.create_subscription(MotionAnswer, "/mora/answers", seen.append, answers)
    time.sleep(0.5)
    ids = [world.ask(question_id=f"many{k}") for k in range(1000)]
    world.wait(lambda: {a.question_id for a in seen} >= set(ids), 60)
    statuses = {Status(a.status).name for a in seen}
    assert statuses <= {"OK", "NO_OBJECT", "OVERLOADED"}
    assert "OVERLOADED" in statuses
    assert len(seen) == 1000


def test_questions_about_other_times(world: World) -> None:
    world.camera().film(world)
    before = world.answer(world.ask(header={"stamp": time_fields(START - 100 * SECOND)}))
    assert before.status == Status.NO_FRAMES
    # Nothing comes for this one: it waits for frame_wait, then takes what the window holds.
    after = world.answer(world.ask(header={"stamp": time_fields(START + 5 * SECOND)}))
    assert stamp_of(after.header) == START + 3 * SECOND
    assert after.frames == 6


def test_hostile_frames_are_counted_and_the_node_goes_on(world: World) -> None:
    camera = world.camera(qos=50)
    camera.film(world, frames=5)
    later = START + 2 * SECOND
    hostile: list[dict[str, Any]] = [
        {"encoding": "hsv99"},
        {"height": 0, "width": 0},
        {"height": 2**31, "width": 2**31},
        {"data": b"short"},
        {"step": 1},
    ]
    for k, changes in enumerate(hostile):
        camera.send(later + k * SECOND // 5, **changes)
    camera.send(later + 5)  # out of order
    camera.send(later + 4 * SECOND // 5)  # a duplicate
    camera.send(0)
    counts = world.node._buffers[0].counts
    world.wait(lambda: counts["broken"] == len(hostile))
    world.wait(lambda: counts["unstamped"] == 1)
    assert counts["late"] == 1
    assert counts["duplicate"] == 1
    answer = world.answer(world.ask(header={"stamp": time_fields(START + 3 * SECOND)}))
    assert answer.frames == 5


def test_corrupt_jpegs_are_counted() -> None:
    world = World(image_transport="compressed").start()
    try:
        camera = world.camera("/image/compressed", CompressedImage)
        camera.film(world, frames=5)
        camera.send(START + 2 * SECOND, data=to_jpeg(PICTURE)[:200])
        camera.send(START + 3 * SECOND, data=b"")
        counts = world.node._buffers[0].counts
        world.wait(lambda: counts["broken"] == 2)
        assert world.answer(world.ask(window=5.0)).frames == 5
    finally:
        world.close()


def test_diagnostics(world: World) -> None:
    world.camera().film(world)
    world.answer(world.ask())

    def values() -> dict[str, str]:
        statuses = world.diagnostics[-1].status if world.diagnostics else []
        return {v.key: v.value for s in statuses for v in s.values}

    world.wait(lambda: values().get("frames sampled") == "16")
    world.wait(lambda: any(key.startswith("answers ") for key in values()))
    for key in (
        "frames received",
        "frames held",
        "frames encoded",
        "questions waiting",
        "last latency reason (s)",
        "resident memory (MB)",
        "image callback p99 (ms)",
    ):
        assert key in values()


def test_pictures_are_published_while_somebody_looks(world: World) -> None:
    seen: dict[str, list[Any]] = {"mask_image": [], "overlay": []}
    qos = QoSProfile(depth=50, reliability=ReliabilityPolicy.BEST_EFFORT)
    for name, store in seen.items():
        world.robot.create_subscription(Image, f"/mora/{name}", store.append, qos)
    time.sleep(0.5)
    world.camera().film(world)
    world.answer(world.ask())
    world.wait(lambda: len(seen["mask_image"]) == len(seen["overlay"]) == 16)
    mask, drawn = seen["mask_image"][0], seen["overlay"][0]
    assert (mask.encoding, mask.step, drawn.encoding) == ("mono8", 80, "rgb8")
    assert set(bytes(mask.data)) <= {0, 255}
    assert stamp_of(mask.header) == START


def test_lifecycle(world: World) -> None:
    world.camera().film(world)
    model = world.node.mora
    assert model is not None
    assert world.transition("deactivate") == "SUCCESS"
    assert world.transition("activate") == "SUCCESS"
    world.wait(lambda: world.questions.get_subscription_count() > 0)
    assert world.answer(world.ask()).frames == 16
    assert world.transition("deactivate") == "SUCCESS"
    buffer = weakref.ref(world.node._buffers[0])
    assert world.transition("cleanup") == "SUCCESS"
    gc.collect()
    assert world.node.mora is None
    assert buffer() is None  # its frames' features are a model's memory
    assert world.transition("configure") == "SUCCESS"


def test_deactivation_cancels_what_waits(world: World) -> None:
    world.camera().film(world)
    future = {"stamp": time_fields(START + 900 * SECOND)}
    question_id = world.ask(header=future)
    engine = world.node._engine
    assert engine is not None
    world.wait(lambda: engine.queue_length == 1)
    assert world.transition("deactivate") == "SUCCESS"
    assert world.answer(question_id).status == Status.CANCELLED


def test_an_id_used_again_cancels(world: World) -> None:
    """With an empty question it only cancels, with another it asks that one instead."""
    world.camera().film(world)
    engine = world.node._engine
    assert engine is not None
    future = {"stamp": time_fields(START + 900 * SECOND)}
    for again in ("", "What moves?"):
        question_id = world.ask(header=future)
        world.wait(lambda: engine.queue_length == 1)
        world.ask(again, question_id=question_id)
        assert world.answer(question_id).status == Status.CANCELLED
        wanted = 2 if again else 1
        world.wait(partial(_answered, world, question_id, wanted))
        last = [a for a in world.answers if a.question_id == question_id][-1]
        assert last.question == (again or "Which object moves first?")


def _answered(world: World, question_id: str, times: int) -> bool:
    return sum(a.question_id == question_id for a in world.answers) == times


def test_a_question_that_waits_too_long_expires() -> None:
    world = World(deadline=0.2, frame_wait=5.0).start()
    try:
        world.camera().film(world)
        answer = world.answer(world.ask(header={"stamp": time_fields(START + 900 * SECOND)}))
        assert answer.status == Status.EXPIRED
        assert "the deadline is 0.2 s" in answer.error
    finally:
        world.close()


def test_an_exception_in_the_model_is_a_failed_answer_and_a_diagnostic(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.camera().film(world)
    mora = world.node.mora
    assert mora is not None
    with monkeypatch.context() as patch:
        patch.setattr(mora, "answer_many", lambda *_, **__: 1 / 0)
        answer = world.answer(world.ask())
    assert answer.status == Status.FAILED
    assert "ZeroDivisionError" in answer.error
    assert world.answer(world.ask()).status in (Status.OK, Status.NO_OBJECT)

    def alarmed() -> bool:
        return any(s.level == b"\x02" for d in world.diagnostics for s in d.status)

    world.wait(alarmed)


def test_simulated_time_may_stand_still() -> None:
    world = World(use_sim_time=True).start()
    try:
        world.camera().film(world)
        assert world.answer(world.ask()).frames == 16
        world.wait(lambda: world.diagnostics)
    finally:
        world.close()


@pytest.mark.parametrize(
    ("parameters", "complaint"),
    [
        ({"model": "no-such-model"}, "no model 'no-such-model'"),
        ({"image_topics": [""]}, "image_topics"),
        ({"encode_ahead": "sometimes"}, "encode_ahead is 'sometimes'"),
        ({"decoder": "openvino"}, "decoder is 'openvino'"),
        ({"decoder": "onnx", "engines": "/nowhere"}, "make it: groundmore export decoder"),
        ({"model": "xinlai/LISA-7B-v1"}, "groundmore fetch xinlai/LISA-7B-v1"),
        ({"quantization": "2bit"}, "quantization is '2bit'"),
        ({"reasoning": "prefill"}, "cannot be prefilled"),
    ],
)
def test_configure_fails_with_a_message(
    parameters: dict[str, Any], complaint: str, capfd: pytest.CaptureFixture[str]
) -> None:
    world = World(**parameters)
    try:
        assert world.transition("configure") == "FAILURE"
    finally:
        world.close()
    assert complaint in capfd.readouterr().err
