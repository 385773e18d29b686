# SPDX-License-Identifier: Apache-2.0
"""Message types for reading and writing bags without ROS; ours come from ``msg/``."""

from functools import cache
from typing import Any

from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from groundmore_ros.errors import GroundmoreError
from groundmore_ros.resources import find_resource

__all__ = ["build_message", "typestore"]


@cache
def typestore() -> Any:
    """ROS 2's types and the package's own."""
    store = get_typestore(Stores.ROS2_JAZZY)
    folder = find_resource("msg")
    if folder is None:
        raise GroundmoreError("the package's msg/ folder is missing; install it again")
    types: dict[str, Any] = {}
    for path in sorted(folder.glob("*.msg")):
        types |= get_types_from_msg(path.read_text(), f"groundmore/msg/{path.stem}")
    store.register(types)
    return store


def build_message(kind: str, fields: dict[str, Any]) -> Any:
    """A message of a type from plain values; nested messages are dictionaries."""
    store = typestore()
    definition = dict(store.fielddefs[kind][1])
    values = {name: _build_value(definition[name], value) for name, value in fields.items()}
    return store.types[kind](**values)


def _build_value(kind: Any, value: Any) -> Any:
    if isinstance(value, dict):
        return build_message(kind[1], value)
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return [build_message(kind[1][0][1], v) for v in value]
    return value
