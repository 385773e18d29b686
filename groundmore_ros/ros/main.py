# SPDX-License-Identifier: Apache-2.0
"""Start the node and keep it running until it is told to stop."""

import signal
import sys
from collections.abc import Sequence

import rclpy
import rclpy.lifecycle
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
    # rclpy's own handler ends the context before waiting questions could be answered, and an
    # exception raised at any point could lose one: the signal is only noted.
    asked_to_stop: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda received, _frame: asked_to_stop.append(received))
    node = MoraNode()
    # rclpy's multi-threaded executor is slow; the work is on the engine's threads anyway.
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        if node.get_parameter("autostart").value and not _start(node):
            return 1
        while not asked_to_stop and rclpy.ok():
            # In an idle executor, which waits in C, Python's signal handlers do not run.
            executor.spin_once(timeout_sec=WAKE_EVERY)
    except ExternalShutdownException:
        pass
    finally:
        node.close()
        executor.shutdown()
        node.destroy_node()
        rclpy.try_shutdown()
    return 0


def _start(node: MoraNode) -> bool:
    success = rclpy.lifecycle.TransitionCallbackReturn.SUCCESS
    return node.trigger_configure() == success and node.trigger_activate() == success
