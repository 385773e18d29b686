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


def main(args: Sequence[str] | None = None) -> int:
    """Run the node; arguments are ROS's (``--ros-args ...``).

    Returns:
        1 where autostart was wanted and the node could not be configured.
    """
    rclpy.init(args=list(args) if args is not None else sys.argv, signal_handler_options=SignalHandlerOptions.NO)
    # rclpy's own handler ends the context before waiting questions could be answered.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    node = MoraNode()
    # rclpy's multi-threaded executor is slow; the work is on the engine's threads anyway.
    executor = SingleThreadedExecutor()
    executor.add_node(node)
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
    raise KeyboardInterrupt


def _start(node: MoraNode) -> bool:
    success = rclpy.lifecycle.TransitionCallbackReturn.SUCCESS
    return node.trigger_configure() == success and node.trigger_activate() == success
