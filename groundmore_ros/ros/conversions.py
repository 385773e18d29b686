# SPDX-License-Identifier: Apache-2.0
"""Plain fields to rclpy messages, and serialized images to frames."""

import struct
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CompressedImage, Image

from groundmore.msg import EventSpan
from groundmore_ros.bags.images import decode_compressed, decode_image
from groundmore_ros.errors import BadFrameError

__all__ = ["fill", "image_message", "lazy_decoder", "peek_header"]


def fill(message: Any, fields: dict[str, Any]) -> Any:
    """Set a message's fields from plain values; nested messages are dictionaries."""
    for name, value in fields.items():
        if isinstance(value, dict):
            fill(getattr(message, name), value)
        elif name == "spans":
            message.spans = [fill(EventSpan(), v) for v in value]
        else:
            setattr(message, name, value)
    return message


def peek_header(raw: bytes) -> tuple[int, str]:
    """Stamp (ns) and frame_id of a serialized message that begins with a header.

    Reads the first bytes of the CDR representation, so that the picture behind them need not be
    unpacked for a frame that sampling leaves out.

    Raises:
        BadFrameError: the message is too short.
    """
    try:
        order = "<" if raw[1] & 1 else ">"
        seconds, nanoseconds, length = struct.unpack_from(f"{order}iII", raw, 4)
        name = bytes(raw[16 : 16 + max(0, length - 1)])  # its last byte is the string's zero
        if len(name) != max(0, length - 1):
            raise BadFrameError(f"message of {len(raw)} bytes ends inside its header")
    except (struct.error, IndexError) as error:
        raise BadFrameError(f"message of {len(raw)} bytes has no header") from error
    return seconds * 10**9 + nanoseconds, name.decode("utf-8", "replace")


def lazy_decoder(raw: bytes, *, compressed: bool) -> Callable[[], NDArray[np.uint8]]:
    """What turns a serialized image message into (H, W, 3) RGB, when it is needed."""

    def decode() -> NDArray[np.uint8]:
        kind = CompressedImage if compressed else Image
        try:
            message = deserialize_message(raw, kind)
        except Exception as error:
            raise BadFrameError(f"image message of {len(raw)} bytes: {error}") from error
        return decode_compressed(bytes(message.data)) if compressed else decode_image(message)

    return decode


def image_message(header: dict[str, Any], pixels: NDArray[np.uint8]) -> Any:
    """A ``sensor_msgs/Image`` of pixels (H, W), mono8, or (H, W, 3), rgb8."""
    message = fill(Image(), {"header": header})
    message.height, message.width = pixels.shape[:2]
    message.encoding = "mono8" if pixels.ndim == 2 else "rgb8"
    message.step = message.width * (1 if pixels.ndim == 2 else 3)
    message.data = (
        pixels.tobytes()
    )  # bytes are taken over as they are; other types are copied slowly
    return message
