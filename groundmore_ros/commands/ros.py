# SPDX-License-Identifier: Apache-2.0
"""Whether ROS 2 is there, and how far its messages go."""

import os
from importlib.util import find_spec

from groundmore_ros.errors import MissingDependencyError

__all__ = ["keep_to_this_machine", "require_ros"]

DOMAINS = range(20, 100)


def keep_to_this_machine() -> None:
    """Stay off the network, and in a domain of this process's own, whatever robot is near.

    ``GROUNDMORE_DOMAIN`` names another domain.
    """
    own = DOMAINS[os.getpid() % len(DOMAINS)]
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    os.environ["ROS_DOMAIN_ID"] = os.environ.get("GROUNDMORE_DOMAIN", str(own))


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
