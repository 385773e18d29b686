# SPDX-License-Identifier: Apache-2.0
"""The lifecycle node ``mora``.

Configure loads the model, activate subscribes and answers, deactivate cancels what waits, cleanup
frees the model. Callbacks only store; the work is done on the engine's threads.
"""

import time
import uuid
from collections import Counter, deque
from functools import partial
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_msgs.msg import String

from groundmore.msg import MotionQuestion
from groundmore_ros.bags.records import LiveMasks, Result
from groundmore_ros.bags.sampling import Verdict
from groundmore_ros.bags.sources import stamp_of
from groundmore_ros.errors import BadFrameError, BadQuestionError, GroundmoreError, ModelError
from groundmore_ros.keywords import LOADING
from groundmore_ros.mora.answer import Status
from groundmore_ros.mora.assistant import Mora
from groundmore_ros.ros.cameras import CameraSubscription
from groundmore_ros.ros.clip_buffer import BufferedFrame, ClipBuffer
from groundmore_ros.ros.conversions import lazy_decoder, peek_header
from groundmore_ros.ros.diagnostics import diagnostics
from groundmore_ros.ros.engine import AnswerEngine, EngineSettings, PendingQuestion
from groundmore_ros.ros.outputs import Outputs
from groundmore_ros.ros.parameters import PARAMETERS, Parameter
from groundmore_ros.ros.throughput import choose_encode_ahead

__all__ = ["MoraNode"]

QUESTIONS_KEPT = 1000
CALLBACKS_TIMED = 3000  # newest image callbacks that diagnostics tell about
DIAGNOSE_EVERY = 1.0  # s
WARN_EVERY = 5.0  # s
LONGEST_FOLLOW = 86400.0  # s


class MoraNode(LifecycleNode):
    """Buffers cameras' frames and answers motion questions about them."""

    def __init__(self, **kwargs: Any) -> None:
        """Declare the parameters; keywords are those of rclpy's nodes."""
        super().__init__("mora", **kwargs)
        for parameter in PARAMETERS:
            self.declare_parameter(parameter.name, parameter.default, _descriptor(parameter))
        self.mora: Mora | None = None
        self._configured: dict[str, Any] = {}
        self._buffers: list[ClipBuffer] = []
        self._cameras: list[CameraSubscription] = []
        self._inputs: list[Any] = []
        self._outputs: Outputs | None = None
        self._engine: AnswerEngine | None = None
        self._diagnostics: Any = None
        self._timer: Any = None
        self._answers: Counter[str] = Counter()
        self._last_error = ""
        self._warned: dict[str, float] = {}
        self._callback_times: deque[float] = deque(maxlen=CALLBACKS_TIMED)

    # --- lifecycle
    # ---------------------------------------------------------------------------------

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the model."""
        del state
        return self._guarded(self._configure)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe and begin to answer."""
        result = super().on_activate(state)
        if result == TransitionCallbackReturn.SUCCESS:
            result = self._guarded(self._activate)
            if result != TransitionCallbackReturn.SUCCESS:
                self._deactivate()
                super().on_deactivate(state)
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Answer waiting questions with CANCELLED, stop listening."""
        result = self._guarded(self._deactivate)
        super().on_deactivate(state)
        return result

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free the model."""
        del state
        return self._guarded(self._clean_up)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Do what is left of deactivate and cleanup."""
        del state
        return self._guarded(self.close)

    def close(self) -> None:
        """Stop the threads and free everything, whatever state the node is in."""
        self._deactivate()
        self._clean_up()

    def _guarded(self, transition: Any) -> TransitionCallbackReturn:
        """Run a transition; rclpy would swallow its exception, so it is logged here."""
        try:
            transition()
        except Exception as error:  # noqa: BLE001
            expected = isinstance(error, GroundmoreError)
            self.get_logger().error(str(error) if expected else f"{transition.__name__}: {error!r}")
            return TransitionCallbackReturn.FAILURE
        return TransitionCallbackReturn.SUCCESS

    def _configure(self) -> None:
        self._configured = {p.name: self.get_parameter(p.name).value for p in PARAMETERS}
        for parameter in PARAMETERS:
            if parameter.choices and self._value(parameter.name) not in parameter.choices:
                raise ModelError(
                    f"{parameter.name} is {self._value(parameter.name)!r}; "
                    f"expected one of {', '.join(parameter.choices)}"
                )
        topics = self._value("image_topics")
        if not topics or not all(topics):
            raise ModelError(f"image_topics is {topics}; expected at least one topic")
        # An empty text stands for none: parameters have no such value.
        told = {p.name: self._value(p.name) for p in PARAMETERS if p.name in LOADING}
        loading: dict[str, Any] = {name: value for name, value in told.items() if value != ""}
        mora = Mora.from_pretrained(self._value("model"), **loading)
        self._ahead = choose_encode_ahead(
            mora, self._value("encode_ahead"), self._value("clip_rate") * len(topics)
        )
        self._buffers = [
            ClipBuffer(
                self.resolve_topic_name(topic),
                rate=self._value("clip_rate"),
                seconds=max(self._value("buffer_seconds"), self._value("window")),
                nbytes=self._value("buffer_bytes"),
            )
            for topic in topics
        ]
        self._given = dict(zip(topics, self._buffers, strict=True))
        self._outputs = Outputs(self)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self.mora = mora
        backends = ", ".join(f"{part} {where}" for part, where in mora.backends.items())
        self.get_logger().info(
            f"{mora.name} on {mora.model.device}, {backends}; encode_ahead: {self._ahead}; "
            f"cameras: {', '.join(b.camera for b in self._buffers)}"
        )

    def _activate(self) -> None:
        assert self.mora is not None, "activate comes after configure"
        self._engine = AnswerEngine(
            self.mora,
            self._buffers,
            EngineSettings(
                clip_frames=self._value("clip_frames"),
                queue_size=self._value("queue_size"),
                deadline=self._value("deadline"),
                frame_wait=self._value("frame_wait"),
                encode_ahead=self._ahead,
                recent=self._value("window"),
                follow_streams=self._value("follow_streams"),
            ),
            self._deliver,
            self._on_engine_error,
            self._deliver_live,
        )
        compressed = self._value("image_transport") == "compressed"
        self._cameras = [
            CameraSubscription(
                self,
                buffer.camera,
                compressed=compressed,
                on_frame=partial(self._on_frame, buffer, compressed),
                on_lost=partial(self._on_lost, buffer),
            )
            for buffer in self._buffers
        ]
        qos = QoSProfile(depth=QUESTIONS_KEPT, reliability=ReliabilityPolicy.RELIABLE)
        self._inputs = [
            self.create_subscription(MotionQuestion, "~/question", self._on_question, qos),
            self.create_subscription(String, "~/question_text", self._on_text, qos),
        ]
        # By a clock that goes on where simulated time stands still.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = self.create_timer(DIAGNOSE_EVERY, self._diagnose, clock=steady)

    def _deactivate(self) -> None:
        for camera in self._cameras:
            camera.close()
        for subscription in self._inputs:
            self.destroy_subscription(subscription)
        if self._timer is not None:
            self.destroy_timer(self._timer)
        self._cameras, self._inputs, self._timer = [], [], None
        if self._engine is not None:
            self._engine.stop()
            self._engine = None

    def _clean_up(self) -> None:
        if self._outputs is not None:
            self._outputs.close()
            self.destroy_publisher(self._diagnostics)
        self._outputs = self._diagnostics = None
        self._buffers, self._given = [], {}
        self.mora = None

    # --- inputs
    # ------------------------------------------------------------------------------------

    def _on_frame(self, buffer: ClipBuffer, compressed: bool, raw: bytes) -> None:
        """Store a frame; it is unpacked only when it is encoded."""
        began = time.perf_counter()
        self._store(buffer, compressed, raw)
        buffer.counts["received"] += 1
        self._callback_times.append(time.perf_counter() - began)

    def _store(self, buffer: ClipBuffer, compressed: bool, raw: bytes) -> None:
        try:
            stamp, frame_id = peek_header(raw)
        except BadFrameError as error:
            buffer.counts["broken"] += 1
            self._warn("header", f"{buffer.camera}: {error}")
            return
        if stamp <= 0:
            buffer.counts["unstamped"] += 1
            if buffer.newest is not None and buffer.stamped:
                self._warn("zero", f"{buffer.camera}: a frame without a stamp is left out")
                return
            stamp = self.get_clock().now().nanoseconds
            self._warn("zero", f"{buffer.camera} sends no stamps; the time of arrival is used")
        else:
            buffer.stamped = True
        verdict = buffer.judge(stamp)
        if verdict is Verdict.JUMPED_BACK:
            self._warn("jump", f"{buffer.camera}: the clock went back; its frames are forgotten")
        if verdict in (Verdict.TAKEN, Verdict.JUMPED_BACK):
            decode = lazy_decoder(raw, compressed=compressed)
            buffer.add(BufferedFrame(stamp, frame_id, len(raw), decode))
        if self._engine is not None:
            self._engine.frame_arrived()

    def _on_lost(self, buffer: ClipBuffer, count: int) -> None:
        buffer.counts["lost"] += count
        self._warn("lost", f"{buffer.camera}: {count} frames were lost on the way")

    def _on_text(self, message: String) -> None:
        question = MotionQuestion()
        question.question = message.data
        self._on_question(question)

    def _on_question(self, message: MotionQuestion) -> None:
        if self._engine is None:
            return
        question_id = message.question_id or str(uuid.uuid4())
        try:
            pending = self._pending(message, question_id)
        except BadQuestionError as error:
            self._engine.cancel(question_id)
            result = Result(
                question_id=question_id,
                question=message.question,
                camera=message.camera,
                model=self.mora.name if self.mora else "",
                status=Status.BAD_QUESTION,
                error=str(error),
            )
            self._deliver(result, [])
            return
        self._engine.submit(pending)

    def _pending(self, message: MotionQuestion, question_id: str) -> PendingQuestion:
        buffer = self._camera(message.camera)
        window = float(message.window) or self._value("window")
        longest = max(self._value("buffer_seconds"), self._value("window"))
        if not 0 < window <= longest:
            raise BadQuestionError(
                f"window is {message.window:g} s; expected 0 (the parameter) or up to {longest:g}, "
                "which buffer_seconds keeps"
            )
        if not 0 <= message.follow <= LONGEST_FOLLOW:
            raise BadQuestionError(
                f"follow is {message.follow:g} s; expected 0 (not at all) to {LONGEST_FOLLOW}"
            )
        stamp = stamp_of(message.header)
        if stamp < 0:
            raise BadQuestionError(f"stamp is {stamp} ns; expected 0 (newest) or later")
        return PendingQuestion(
            question_id=question_id,
            question=message.question,
            buffer=buffer,
            end=stamp or buffer.newest,
            window=window,
            arrived=time.monotonic(),
            follow=float(message.follow),
        )

    def _camera(self, name: str) -> ClipBuffer:
        if not name:
            return self._buffers[0]
        if name in self._given:
            return self._given[name]
        for buffer in self._buffers:
            if buffer.camera == name:
                return buffer
        known = ", ".join(b.camera for b in self._buffers)
        raise BadQuestionError(f"camera is {name!r}; expected one of {known}")

    # --- results
    # -----------------------------------------------------------------------------------

    def _deliver(self, result: Result, frames: list[BufferedFrame]) -> None:
        self._answers[result.status.name] += 1
        if self._outputs is not None:
            self._outputs.publish(result, frames)

    def _deliver_live(self, masks: LiveMasks, frame: BufferedFrame | None) -> None:
        if self._outputs is not None:
            self._outputs.publish_live(masks, frame)

    def _on_engine_error(self, text: str) -> None:
        self._last_error = text
        self._warn("engine", text)

    def _diagnose(self) -> None:
        if self._engine is not None and self._diagnostics is not None:
            message = diagnostics(
                self.get_fully_qualified_name().lstrip("/"),
                self.get_clock().now().to_msg(),
                self._engine,
                self._buffers,
                self._answers,
                self._last_error,
                list(self._callback_times),
            )
            self._diagnostics.publish(message)

    def _warn(self, kind: str, text: str) -> None:
        """Log a warning, at most one of a kind every few seconds."""
        now = time.monotonic()
        if now - self._warned.get(kind, -WARN_EVERY) >= WARN_EVERY:
            self._warned[kind] = now
            self.get_logger().warning(text)

    def _value(self, name: str) -> Any:
        """A parameter's value as it was at configure."""
        return self._configured[name]


def _descriptor(parameter: Parameter) -> ParameterDescriptor:
    descriptor = ParameterDescriptor(description=parameter.description)
    if parameter.choices:
        descriptor.additional_constraints = f"one of: {', '.join(parameter.choices)}"
    if parameter.low is not None and parameter.high is not None:
        if isinstance(parameter.default, float):
            bounds = FloatingPointRange(from_value=parameter.low, to_value=parameter.high)
            descriptor.floating_point_range = [bounds]
        else:
            bounds = IntegerRange(
                from_value=int(parameter.low), to_value=int(parameter.high), step=1
            )
            descriptor.integer_range = [bounds]
    return descriptor
