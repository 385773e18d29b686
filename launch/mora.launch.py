# SPDX-License-Identifier: Apache-2.0
"""Start the node `mora`, and a bag beside it where one is named.

Nothing is downloaded or installed here: a model must be on the machine (`groundmore info MODEL`).
"""

from typing import Any

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

BOOLEAN = ["true", "false"]

ARGUMENTS = [
    DeclareLaunchArgument("namespace", default_value="", description="Namespace of the node."),
    DeclareLaunchArgument(
        "params_file",
        default_value=PathJoinSubstitution([FindPackageShare("groundmore"), "config", "mora.yaml"]),
        description="YAML file of the node's parameters; the arguments below go before it.",
    ),
    DeclareLaunchArgument(
        "use_sim_time", default_value="false", choices=BOOLEAN, description="Follow /clock."
    ),
    DeclareLaunchArgument(
        "image_topics",
        default_value="image",
        description="Image topics, separated by commas; the first is the default camera.",
    ),
    DeclareLaunchArgument(
        "image_transport",
        default_value="raw",
        choices=["raw", "compressed"],
        description="Form in which images arrive; compressed listens to <topic>/compressed.",
    ),
    DeclareLaunchArgument(
        "model",
        default_value="mora-nano",
        description="A folder, a shipped model's name, or a hub id in the local cache.",
    ),
    DeclareLaunchArgument(
        "device", default_value="auto", description="auto, cpu, cuda or cuda:N."
    ),
    DeclareLaunchArgument(
        "encoder",
        default_value="torch",
        choices=["torch"],
        description="Back end of SAM's image encoder.",
    ),
    DeclareLaunchArgument(
        "decoder",
        default_value="torch",
        choices=["torch"],
        description="Back end of SAM's mask decoder.",
    ),
    DeclareLaunchArgument(
        "autostart",
        default_value="true",
        choices=BOOLEAN,
        description="Configure and activate at start; else the lifecycle services do it.",
    ),
    DeclareLaunchArgument(
        "bag", default_value="", description="A bag to play beside the node: its images and questions."
    ),
]


def _nodes(context: LaunchContext) -> list[Any]:
    """The node with the arguments' values, and the player of a bag."""

    def value(name: str) -> str:
        return LaunchConfiguration(name).perform(context)

    texts = ("image_transport", "model", "device", "encoder", "decoder")
    parameters = {name: value(name) for name in texts} | {
        "image_topics": [topic.strip() for topic in value("image_topics").split(",")],
        "use_sim_time": value("use_sim_time") == "true",
        "autostart": value("autostart") == "true",
    }
    nodes = [
        Node(
            package="groundmore",
            executable="mora_node",
            namespace=value("namespace"),
            parameters=[value("params_file"), parameters],
            output="screen",
        )
    ]
    if value("bag"):
        nodes.append(
            Node(
                package="groundmore",
                executable="play_bag",
                namespace=value("namespace"),
                arguments=[value("bag")],
                output="screen",
            )
        )
    return nodes


def generate_launch_description() -> LaunchDescription:
    """What `ros2 launch` starts."""
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=_nodes)])
