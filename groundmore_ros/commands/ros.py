# SPDX-License-Identifier: Apache-2.0
"""Whether ROS 2 is there."""

from importlib.util import find_spec

from groundmore_ros.errors import MissingDependencyError

__all__ = ["require_ros"]


def require_ros() -> None:
    """Check for rclpy and the package's messages.

    Raises:
        MissingDependencyError: one is missing; the message says how to get it.
    """
    if find_spec("rclpy") is None:
        raise MissingDependencyError(
            "ROS 2 is missing: source a ROS 2 installation (source /opt/ros/jazzy/setup.bash), or "
            "run make setup in a checkout, which needs none"
        )
    if find_spec("groundmore") is None:
        raise MissingDependencyError(
            "the messages of the ROS package groundmore are missing: run colcon build and source "
            "install/setup.bash, or run make setup in a checkout"
        )
