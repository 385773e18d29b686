# SPDX-License-Identifier: Apache-2.0
"""``groundmore node``: the ROS 2 node without a ROS installation."""

import sys

import typer

from groundmore_ros.commands.ros import require_ros

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the subcommand."""
    settings = {"allow_extra_args": True, "ignore_unknown_options": True}
    app.command(name="node", context_settings=settings)(node)


def node(context: typer.Context) -> None:
    """Run the node; arguments are ROS's: --ros-args -p image_topics:="[/camera/image_raw]" ..."""
    require_ros()
    from groundmore_ros.ros.main import main

    sys.exit(main(["mora_node", *context.args]))
