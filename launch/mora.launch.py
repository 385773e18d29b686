# SPDX-License-Identifier: Apache-2.0
"""Start the node `mora`, and a bag beside it where one is named.

Nothing is downloaded or installed here: a model must be on the machine (`groundmore info MODEL`).
"""

from typing import Any

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction, Shutdown
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

# An empty value leaves a parameter as params_file has it.
BOOLEAN = ["", "true", "false"]
UNSET = "Empty: as in params_file."

ARGUMENTS = [
    DeclareLaunchArgument("namespace", default_value="", description="Namespace of the node."),
    DeclareLaunchArgument(
        "params_file",
        default_value=PathJoinSubstitution([FindPackageShare("groundmore"), "config", "mora.yaml"]),
        description="YAML file of the node's parameters; the arguments below, where given, win.",
    ),
    DeclareLaunchArgument(
        "use_sim_time", default_value="", choices=BOOLEAN, description=f"Follow /clock. {UNSET}"
    ),
    DeclareLaunchArgument(
        "image_topics",
        default_value="",
        description=f"Image topics, separated by commas; the first is the default. {UNSET}",
    ),
    DeclareLaunchArgument(
        "image_transport",
        default_value="",
        choices=["", "raw", "compressed"],
        description=f"Images come raw, or compressed on <topic>/compressed. {UNSET}",
    ),
    DeclareLaunchArgument(
        "model",
        default_value="",
        description=f"A folder, a shipped model's name, or a hub id in the local cache. {UNSET}",
    ),
    DeclareLaunchArgument(
        "device", default_value="", description=f"auto, cpu, cuda or cuda:N. {UNSET}"
    ),
    DeclareLaunchArgument(
        "encoder",
        default_value="",
        description=f"Runs SAM's image encoder: torch, onnx or tensorrt. {UNSET}",
    ),
    DeclareLaunchArgument(
        "decoder",
        default_value="",
        description=f"Runs SAM's mask decoder, likewise. {UNSET}",
    ),
    DeclareLaunchArgument(
        "autostart",
        default_value="",
        choices=BOOLEAN,
        description=f"Start by itself; else the lifecycle services do it. {UNSET}",
    ),
    DeclareLaunchArgument(
        "bag",
        default_value="",
        description="A bag to play beside the node: its images and questions.",
    ),
]


def _nodes(context: LaunchContext) -> list[Any]:
    """The node with the arguments that were given, and the player of a bag."""

    def value(name: str) -> str:
        return str(LaunchConfiguration(name).perform(context))

    texts = ("image_transport", "model", "device", "encoder", "decoder")
    given: dict[str, Any] = {name: value(name) for name in texts if value(name)}
    for name in ("use_sim_time", "autostart"):
        if value(name):
            given[name] = value(name) == "true"
    topics = [topic.strip() for topic in value("image_topics").split(",") if topic.strip()]
    if topics:
        given["image_topics"] = topics
    nodes = [
        Node(
            package="groundmore",
            executable="mora_node",
            namespace=value("namespace"),
            parameters=[value("params_file"), *([given] if given else [])],
            output="screen",
            on_exit=Shutdown(reason="the node has ended"),
        )
    ]
    if value("bag"):
        nodes.append(
            Node(
                package="groundmore",
                executable="play_bag",
                namespace=value("namespace"),
                arguments=[value("bag")],
                # Simulated bags ask on /mora/question, wherever the node is.
                remappings=[("/mora/question", "mora/question")],
                output="screen",
            )
        )
    return nodes


def generate_launch_description() -> LaunchDescription:
    """What `ros2 launch` starts."""
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=_nodes)])
