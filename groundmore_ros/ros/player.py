# SPDX-License-Identifier: Apache-2.0
"""Plays bags' images and questions onto topics, in the time of their stamps."""

import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import rclpy
import rclpy.duration
import rclpy.utilities
from builtin_interfaces.msg import Time
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message
from rclpy.signals import SignalHandlerOptions
from rosbags.highlevel import AnyReader
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CompressedImage, Image

from groundmore.msg import MotionQuestion
from groundmore_ros.bags.messages import typestore
from groundmore_ros.errors import GroundmoreError, SourceError

__all__ = ["main", "play_bags"]

TYPES = {
    "sensor_msgs/msg/Image": Image,
    "sensor_msgs/msg/CompressedImage": CompressedImage,
    "groundmore/msg/MotionQuestion": MotionQuestion,
}
LONGEST_GAP = 1.0  # s; longer ones, as between bags, are cut short
WAKE_EVERY = 0.1  # s; a wait longer than this looks whether it is told to stop


def play_bags(
    bags: Sequence[Path],
    *,
    speed: float,
    questions: bool,
    loop: bool,
    clock: bool,
    wait: float,
    ros_arguments: Sequence[str] = (),
) -> int:
    """Play until the end (or for ever), then wait until all has been delivered.

    Args:
        bags: rosbag2 folders or files.
        speed: 1 is as recorded.
        questions: whether MotionQuestion messages are played too.
        loop: whether to begin again.
        clock: whether to publish ``/clock`` in the bags' time.
        wait: s, how long to wait for a subscriber of every topic before playing without one.
        ros_arguments: ``--ros-args ...``, such as remappings.

    Returns:
        0, also where it was told to stop.

    Raises:
        SourceError: a bag cannot be read, or has nothing to play.
    """
    # rclpy's own handlers would end the context in the middle of a message, and an exception
    # raised while a bag's reader compiles its messages would end the process as killed, though
    # it is caught: the signal is only noted.
    rclpy.init(args=list(ros_arguments), signal_handler_options=SignalHandlerOptions.NO)
    told_to_stop: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda received, _frame: told_to_stop.append(received))
    node = rclpy.create_node("bag_player")
    try:
        player = _Player(node, bags, questions, clock, told_to_stop)
        player.await_subscribers(wait)
        player.play(speed)
        while loop and not told_to_stop:
            player.play(speed)
        if not told_to_stop:
            player.flush()
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
    return 0


class _Player:
    def __init__(
        self,
        node: Any,
        bags: Sequence[Path],
        questions: bool,
        clock: bool,
        told_to_stop: Sequence[int],
    ) -> None:
        self._node = node
        self._told_to_stop = told_to_stop  # signals, as they arrive
        self._clock = node.create_publisher(Clock, "/clock", 10) if clock else None
        self._bags = bags
        self._wanted = {k for k in TYPES if questions or not k.endswith("MotionQuestion")}
        self._publishers: dict[str, Any] = {}
        qos = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE)
        for bag in bags:
            with _reader(bag) as reader:
                for connection in self._chosen(reader):
                    if connection.topic not in self._publishers:
                        self._publishers[connection.topic] = node.create_publisher(
                            TYPES[connection.msgtype], connection.topic, qos
                        )
        if not self._publishers:
            raise SourceError(f"{', '.join(map(str, bags))}: no images and no questions to play")

    def _chosen(self, reader: AnyReader) -> list[Any]:
        return [c for c in reader.connections if c.msgtype in self._wanted]

    def await_subscribers(self, wait: float) -> None:
        deadline = time.monotonic() + wait
        while alone := [t for t, p in self._publishers.items() if not p.get_subscription_count()]:
            if self._told_to_stop:
                return
            if time.monotonic() >= deadline:
                self._node.get_logger().warning(
                    f"nobody listens to {', '.join(alone)}; playing all the same"
                )
                return
            time.sleep(0.05)

    def _messages(self) -> Iterator[tuple[str, str, int, bytes]]:
        for bag in self._bags:
            with _reader(bag) as reader:
                chosen = self._chosen(reader)
                if chosen:  # an empty list would mean every message
                    for connection, stamp, raw in reader.messages(chosen):
                        yield connection.topic, connection.msgtype, stamp, bytes(raw)

    def play(self, speed: float) -> None:
        due = time.monotonic()
        last: int | None = None
        for topic, kind, stamp, raw in self._messages():
            if last is not None:
                due += min(LONGEST_GAP, max(0.0, (stamp - last) / 1e9)) / speed
                self._wait_until(due)
            if self._told_to_stop:
                return
            last = stamp
            if self._clock is not None:
                now = Time(sec=stamp // 10**9, nanosec=stamp % 10**9)
                self._clock.publish(Clock(clock=now))
            self._publishers[topic].publish(deserialize_message(raw, TYPES[kind]))

    def _wait_until(self, due: float) -> None:
        while (left := due - time.monotonic()) > 0 and not self._told_to_stop:
            time.sleep(min(left, WAKE_EVERY))

    def flush(self) -> None:
        """Wait until reliable subscribers have what was sent."""
        for publisher in self._publishers.values():
            publisher.wait_for_all_acked(rclpy.duration.Duration(seconds=2))


def _reader(bag: Path) -> Any:
    try:
        reader = AnyReader([bag], default_typestore=typestore())
        reader.open()
        reader.close()
        return AnyReader([bag], default_typestore=typestore())
    except Exception as error:
        raise SourceError(f"{bag} is no bag that can be read: {error}") from error


def main() -> int:
    """For ``ros2 run groundmore play_bag BAG ...`` and the launch file."""
    arguments = rclpy.utilities.remove_ros_args(sys.argv)[1:]
    try:
        return play_bags(
            [Path(a).expanduser() for a in arguments],
            speed=1.0,
            questions=True,
            loop=False,
            clock=False,
            wait=30.0,
            ros_arguments=sys.argv,
        )
    except GroundmoreError as error:
        print(f"play_bag: {error}", file=sys.stderr)
        return 1
