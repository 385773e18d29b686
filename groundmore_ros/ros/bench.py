# SPDX-License-Identifier: Apache-2.0
"""Measures the node on this machine: a camera at full speed while questions never stop.

Three processes over DDS: a camera, the node, and this one, which asks and reads ``/diagnostics``.
"""

import multiprocessing
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image

from groundmore.msg import MotionAnswer, MotionQuestion
from groundmore_ros.bags.images import to_jpeg
from groundmore_ros.bags.sampling import SlotSampler
from groundmore_ros.errors import GroundmoreError

__all__ = ["NodeBench", "bench_node"]

TOPIC = "/bench/image"
WIDTH, HEIGHT, FPS = 1280, 720, 30.0
CLIP_RATE = 5.0
PICTURES = 8
QUESTIONS = ("Which object moves first?", "What is the fastest thing here?", "What made it move?")


@dataclass
class NodeBench:
    """One run's figures."""

    transport: str
    seconds: float
    published: int = 0
    slots: int = 0
    figures: dict[str, str] = field(default_factory=dict)
    memory: list[tuple[float, float]] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)

    def number(self, name: str) -> float:
        """A figure from the node's diagnostics; 0 where it has not said it."""
        return float(self.figures.get(name, 0))

    def report(self) -> dict[str, Any]:
        """Plain values."""
        interval = 1000 / FPS
        settled = min(60.0, self.seconds / 2)
        memory_start = next((m for t, m in self.memory if t >= settled), 0.0)
        memory_end = self.memory[-1][1] if self.memory else 0.0
        return {
            "transport": self.transport,
            "seconds": self.seconds,
            "published": self.published,
            "received": int(self.number("frames received")),
            "delivery": self.number("frames received") / max(1, self.published),
            "slots": self.slots,
            "slots with a frame": int(self.number("frames sampled")),
            "callback p50 (ms)": self.number("image callback p50 (ms)"),
            "callback p99 (ms)": self.number("image callback p99 (ms)"),
            "frame interval (ms)": interval,
            "questions answered": sum(self.statuses.values()),
            "question latency median (s)": float(np.median(self.latencies))
            if self.latencies
            else None,
            "question latency p95 (s)": (
                float(np.percentile(self.latencies, 95)) if self.latencies else None
            ),
            f"memory after {settled:g} s (MB)": memory_start,
            "memory at the end (MB)": memory_end,
            "memory growth": memory_end / memory_start - 1 if memory_start else None,
        }


def bench_node(transport: str, seconds: float, model: str) -> NodeBench:
    """Run the node against a 1280x720 camera at 30 Hz.

    Args:
        transport: ``raw`` or ``compressed``.
        seconds: how long the camera runs.
        model: for the node.

    Raises:
        GroundmoreError: the node did not come up.
    """
    arguments = [
        *("-p", f"image_topics:=[{TOPIC}]"),
        *("-p", f"image_transport:={transport}"),
        *("-p", f"clip_rate:={CLIP_RATE}"),
        *("-p", f"model:={model}"),
    ]
    command = [sys.executable, "-m", "groundmore_ros", "node", "--ros-args", *arguments]
    context = multiprocessing.get_context("spawn")
    told = context.Queue()
    camera = context.Process(target=_camera, args=(transport, seconds, told))
    node = subprocess.Popen(command, env=dict(os.environ))
    camera.start()
    rclpy.init()
    asker = rclpy.create_node("bench_asker")
    try:
        return _ask_until_done(asker, NodeBench(transport, seconds), camera, node, told)
    finally:
        asker.destroy_node()
        rclpy.try_shutdown()
        node.terminate()
        node.wait(20)
        camera.join(20)


def _ask_until_done(
    asker: Any, bench: NodeBench, camera: Any, node: subprocess.Popen[bytes], told: Any
) -> NodeBench:
    executor = SingleThreadedExecutor()
    executor.add_node(asker)
    began = time.monotonic()
    pending: dict[str, float] = {}
    questions = asker.create_publisher(MotionQuestion, "/mora/question", 10)

    def on_answer(message: MotionAnswer) -> None:
        sent = pending.pop(message.question_id, None)
        if sent is not None:
            bench.latencies.append(time.monotonic() - sent)
            bench.statuses[message.status] = bench.statuses.get(message.status, 0) + 1

    def on_diagnostics(message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name.startswith("mora"):
                bench.figures.update({v.key: v.value for v in status.values})
        bench.memory.append((time.monotonic() - began, bench.number("resident memory (MB)")))

    kept = QoSProfile(
        depth=100,
        reliability=ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL,
    )
    asker.create_subscription(MotionAnswer, "/mora/answers", on_answer, kept)
    asker.create_subscription(DiagnosticArray, "/diagnostics", on_diagnostics, 10)
    number = 0
    limit = began + bench.seconds + 90
    while camera.is_alive() or not told.empty():
        executor.spin_once(timeout_sec=0.05)
        if node.poll() is not None or time.monotonic() > limit:
            camera.terminate()
            raise GroundmoreError("the node ended, or the camera never found it")
        if not told.empty():
            bench.published, bench.slots = told.get()
        if not pending and questions.get_subscription_count():
            number += 1
            question = MotionQuestion(question_id=str(number), question=QUESTIONS[number % 3])
            pending[question.question_id] = time.monotonic()
            questions.publish(question)
    settled = time.monotonic() + 2.5
    while time.monotonic() < settled:
        executor.spin_once(timeout_sec=0.1)
    return bench


def _camera(transport: str, seconds: float, told: Any) -> None:
    """Publish at full rate once somebody listens; tell how many frames and slots there were."""
    rclpy.init()
    node = rclpy.create_node("bench_camera")
    compressed = transport == "compressed"
    kind, topic = (CompressedImage, f"{TOPIC}/compressed") if compressed else (Image, TOPIC)
    publisher = node.create_publisher(
        kind, topic, QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)
    )
    messages = [_message(compressed, number) for number in range(PICTURES)]
    while not publisher.get_subscription_count():
        time.sleep(0.05)
    sampler = SlotSampler(CLIP_RATE)
    slots = set()
    count = 0
    due = time.monotonic()
    end = due + seconds
    while due < end:
        message = messages[count % PICTURES]
        now = node.get_clock().now()
        message.header.stamp = now.to_msg()
        publisher.publish(message)
        slots.add(sampler.slot(now.nanoseconds))
        count += 1
        due += 1 / FPS
        time.sleep(max(0.0, due - time.monotonic()))
    told.put((count, len(slots)))
    node.destroy_node()
    rclpy.try_shutdown()


def _message(compressed: bool, number: int) -> Any:
    rng = np.random.default_rng(number)
    coarse = rng.integers(0, 255, (HEIGHT // 8, WIDTH // 8, 3), np.uint8)
    picture = np.ascontiguousarray(np.repeat(np.repeat(coarse, 8, 0), 8, 1))
    if compressed:
        return CompressedImage(format="jpeg", data=to_jpeg(picture, 85))
    return Image(
        height=HEIGHT, width=WIDTH, encoding="rgb8", step=3 * WIDTH, data=picture.tobytes()
    )
