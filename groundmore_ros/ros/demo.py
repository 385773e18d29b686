# SPDX-License-Identifier: Apache-2.0
"""The demonstration: a node and a bag player as two processes, and their traffic recorded here."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from numpy.typing import NDArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message

from groundmore.msg import EventSpan, MotionAnswer, MotionMask
from groundmore_ros import run_lengths
from groundmore_ros.bags.sources import stamp_of
from groundmore_ros.errors import GroundmoreError

__all__ = ["Recording", "record"]

PATIENCE = 40.0  # s, beyond the bags' own length
QUEUE = 2000
TOPICS = {"masks": MotionMask, "events": EventSpan, "answers": MotionAnswer}


@dataclass
class Recording:
    """What the node published, as received.

    Attributes:
        raw: topic, type, stamp (ns) and serialized message, in order of arrival.
        answers: by question id.
        masks: by question id, then by stamp and object: mask before the gate, and the gate.
    """

    raw: list[tuple[str, str, int, bytes]] = field(default_factory=list)
    answers: dict[str, Any] = field(default_factory=dict)
    masks: dict[str, dict[tuple[int, int], tuple[NDArray[np.bool_], bool]]] = field(
        default_factory=dict
    )


def record(
    bags: Sequence[Path],
    questions: Sequence[str],
    model: str,
    topic: str = "/image/compressed",
    parameters: Sequence[str] = (),
) -> Recording:
    """Play bags to a node of its own, in the bags' time, and record its answers.

    Args:
        bags: with questions, as simulated ones have.
        questions: the ids of all questions in them; it ends when all are answered.
        model: for the node.
        topic: the bags' images; ``.../compressed`` are compressed ones.
        parameters: more of the node's, ``name:=value``.

    Raises:
        GroundmoreError: the node did not start.
    """
    camera = topic.removesuffix("/compressed")
    node_arguments = [
        "node",
        "--ros-args",
        *("-p", f"image_topics:=[{camera}]"),
        *("-p", f"image_transport:={'raw' if camera == topic else 'compressed'}"),
        *("-p", "use_sim_time:=true"),
        # Bags are played faster than their stamps are apart: keep them all.
        *("-p", "buffer_seconds:=600.0"),
        *("-p", "queue_size:=1000"),
        *("-p", "deadline:=300.0"),
        *("-p", f"model:={model}"),
        *(part for parameter in parameters for part in ("-p", parameter)),
    ]
    rclpy.init()
    listener = rclpy.create_node("demo_listener")
    executor = SingleThreadedExecutor()
    executor.add_node(listener)
    recording = Recording()
    _listen(listener, recording)
    try:
        with (
            _process(node_arguments) as node,
            _process(["play", "--clock", "--wait", "120", *map(str, bags)]) as player,
        ):
            deadline = None
            while not set(questions) <= recording.answers.keys():
                executor.spin_once(timeout_sec=0.2)
                if node.poll() is not None:
                    raise GroundmoreError(f"the node ended with exit code {node.returncode}")
                if player.poll():
                    raise GroundmoreError(f"the player ended with exit code {player.returncode}")
                if player.poll() is not None and deadline is None:
                    deadline = time.monotonic() + PATIENCE
                if deadline is not None and time.monotonic() > deadline:
                    break
            # Masks and answers travel on topics of their own.
            settled = time.monotonic() + 1.0
            while time.monotonic() < settled:
                executor.spin_once(timeout_sec=0.1)
    finally:
        executor.shutdown()
        listener.destroy_node()
        rclpy.try_shutdown()
    return recording


def _listen(listener: Any, recording: Recording) -> None:
    for name, kind in TOPICS.items():
        transient = DurabilityPolicy.TRANSIENT_LOCAL
        durability = transient if name == "answers" else DurabilityPolicy.VOLATILE
        qos = QoSProfile(depth=QUEUE, reliability=ReliabilityPolicy.RELIABLE, durability=durability)
        take = _Taker(recording, f"/mora/{name}", kind)
        listener.create_subscription(kind, f"/mora/{name}", take, qos, raw=True)


class _Taker:
    """Notes one topic's messages."""

    def __init__(self, recording: Recording, topic: str, kind: Any) -> None:
        self._recording, self._topic, self._kind = recording, topic, kind

    def __call__(self, raw: bytes) -> None:
        message = deserialize_message(raw, self._kind)
        stamp = stamp_of(message.header)
        name = f"groundmore/msg/{self._kind.__name__}"
        self._recording.raw.append((self._topic, name, stamp, raw))
        if self._kind is MotionAnswer:
            self._recording.answers[message.question_id] = message
        elif self._kind is MotionMask:
            mask = run_lengths.decode(message.counts, message.height, message.width)
            of = self._recording.masks.setdefault(message.question_id, {})
            of[stamp, message.object] = (mask, message.active)


@contextmanager
def _process(arguments: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    """A ``groundmore`` command beside this one; it is asked to end, then made to."""
    process = subprocess.Popen(
        [sys.executable, "-m", "groundmore_ros", *arguments], env=dict(os.environ)
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
