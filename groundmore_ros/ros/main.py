# SPDX-License-Identifier: Apache-2.0
"""Start the node and keep it running until it is told to stop."""

import signal
import sys
from collections.abc import Sequence

import rclpy
import rclpy.lifecycle
from rclpy.clock import Clock, ClockType
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

from groundmore_ros.ros.node import MoraNode

__all__ = ["main"]

WAKE_EVERY = 0.2  # s


def main(args: Sequence[str] | None = None) -> int:
    """Run the node; arguments are ROS's (``--ros-args ...``).

    Returns:
        1 where autostart was wanted and the node could not be configured.
    """
    arguments = sys.argv if args is None else list(args)
    rclpy.init(args=arguments, signal_handler_options=SignalHandlerOptions.NO)
    # rclpy's own handler ends the context before waiting questions could be answered.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    node = MoraNode()
    # rclpy's multi-threaded executor is slow; the work is on the engine's threads anyway.
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    # An idle executor waits in C, where Python's signal handlers do not run: wake it now and then,
    # by a clock that no simulation stops.
    node.create_timer(WAKE_EVERY, lambda: None, clock=Clock(clock_type=ClockType.STEADY_TIME))
    try:
        if node.get_parameter("autostart").value and not _start(node):
            return 1
        executor.spin()
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        node.close()
        executor.shutdown()
        node.destroy_node()
        rclpy.try_shutdown()
    return 0


def _interrupt(number: int, frame: object) -> None:
    del number, frame
    raise KeyboardInterrupt


def _start(node: MoraNode) -> bool:
    success = rclpy.lifecycle.TransitionCallbackReturn.SUCCESS
    return node.trigger_configure() == success and node.trigger_activate() == success
