# SPDX-License-Identifier: Apache-2.0
"""The node and the player as users start them: processes of their own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from groundmore.msg import MotionAnswer, MotionQuestion
from groundmore_ros.mora.answer import Status
from groundmore_ros.ros.bench import bench_node

ANSWERS = QoSProfile(
    depth=64, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)


@contextmanager
def process(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    started = subprocess.Popen(
        [sys.executable, "-m", "groundmore_ros", *arguments], env=dict(os.environ)
    )
    try:
        yield started
    finally:
        started.kill()
        started.wait()


class Robot:
    """Asks and listens, in this process."""

    def __init__(self) -> None:
        self.node = rclpy.create_node("robot")
        self.answers: list[Any] = []
        self.figures: dict[str, str] = {}
        self.questions = self.node.create_publisher(MotionQuestion, "/mora/question", 10)
        self.node.create_subscription(MotionAnswer, "/mora/answers", self.answers.append, ANSWERS)
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._note, 10)

    def _note(self, message: Any) -> None:
        self.figures.update({v.key: v.value for s in message.status for v in s.values})

    def wait(self, done: Callable[[], Any]) -> None:
        deadline = time.monotonic() + 60
        while not done():
            assert time.monotonic() < deadline, "waited in vain"
            rclpy.spin_once(self.node, timeout_sec=0.1)


@pytest.fixture
def robot() -> Iterator[Robot]:
    rclpy.init()
    made = Robot()
    yield made
    made.node.destroy_node()
    rclpy.try_shutdown()


def test_node_and_looping_player_run_until_they_are_told_to_stop(
    robot: Robot, sample: Path
) -> None:
    parameters = ["image_topics:=[/image]", "image_transport:=compressed", "frame_wait:=60.0"]
    with (
        process("node", "--ros-args", *(a for p in parameters for a in ("-p", p))) as node,
        process("play", "--loop", "--no-questions", "--rate", "8", str(sample)) as player,
    ):
        robot.wait(lambda: int(robot.figures.get("frames jumped_back", 0)) >= 1)
        robot.questions.publish(MotionQuestion(question_id="a", question="What moves first?"))
        robot.wait(lambda: robot.answers)
        assert robot.answers[0].status in (Status.OK, Status.NO_OBJECT)
        future = MotionQuestion(question_id="b", question="What moves?")
        future.header.stamp.sec = 2**31 - 1
        robot.questions.publish(future)
        robot.wait(lambda: robot.figures.get("questions waiting") == "1")
        for each, number in ((player, signal.SIGTERM), (node, signal.SIGTERM)):
            each.send_signal(number)
            assert each.wait(20) == 0
        # What waited was answered before the end, and reached this other process.
        robot.wait(lambda: len(robot.answers) == 2)
        assert robot.answers[1].status == Status.CANCELLED


STOPPED_WHILE_A_READER_COMPILES = """
import os, signal, sys
from pathlib import Path
from rosbags.highlevel import AnyReader
from groundmore_ros.ros.player import play_bags

opening = AnyReader.open

def stopped(reader):
    exec("os.kill(os.getpid(), signal.SIGTERM)")
    opening(reader)

AnyReader.open = stopped
bag = Path(sys.argv[1])
assert not play_bags([bag], speed=1.0, questions=False, loop=True, clock=False, wait=0.0)
"""


def test_a_player_told_to_stop_anywhere_ends_without_an_error(sample: Path) -> None:
    # An exception that leaves exec() would make Python end as one killed, though it is caught.
    command = [sys.executable, "-c", STOPPED_WHILE_A_READER_COMPILES, str(sample)]
    assert subprocess.run(command, timeout=60, check=False).returncode == 0


def test_without_autostart_the_node_waits_to_be_configured(robot: Robot) -> None:
    with process("node", "--ros-args", "-p", "autostart:=false", "-r", "__node:=idle") as node:
        robot.wait(lambda: "idle" in robot.node.get_node_names())
        until = time.monotonic() + 1
        while time.monotonic() < until:
            rclpy.spin_once(robot.node, timeout_sec=0.1)
        assert not robot.node.get_subscriptions_info_by_topic("/idle/question")
        node.send_signal(signal.SIGINT)
        assert node.wait(20) == 0


def test_a_node_that_cannot_be_configured_ends_with_an_error() -> None:
    with process("node", "--ros-args", "-p", "model:=none") as node:
        assert node.wait(60) == 1


def test_the_bench_counts_what_was_sent_and_what_arrived() -> None:
    report = bench_node("compressed", 5.0, "mora-nano").report()
    assert report["published"] >= 100
    # Whether all arrive is for the bench to tell, on a machine with nothing else to do.
    assert 0.8 < report["delivery"] <= 1.0
    assert 0 < report["slots with a frame"] <= report["slots"]
    assert report["questions answered"] > 0
