# SPDX-License-Identifier: Apache-2.0
"""Measures what taking a frame costs a node: ours, and unpacking every message in the callback."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import CompressedImage

from groundmore_ros.bags.images import decode_compressed, to_jpeg
from groundmore_ros.bags.sampling import Verdict
from groundmore_ros.measuring import in_turns
from groundmore_ros.ros.clip_buffer import BufferedFrame, ClipBuffer
from groundmore_ros.ros.conversions import lazy_decoder, peek_header

__all__ = ["bench_ingest"]

SECOND = 10**9
RATE = 5.0  # Hz, of sampling


def bench_ingest(frames: Sequence[NDArray[np.uint8]], repeats: int) -> list[dict[str, Any]]:
    """Two seconds of a compressed camera at 30 Hz through the image callback's work.

    Args:
        frames: (H, W, 3) RGB, shown again and again.
        repeats: of each way.
    """
    files = [to_jpeg(f) for f in frames]
    messages = []
    for k in range(60):
        message = CompressedImage(format="jpeg", data=files[k % len(files)])
        stamp = SECOND + k * SECOND // 30
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp, SECOND)
        messages.append(bytes(serialize_message(message)))
    ways = {
        "unpacked in the callback": lambda: [_unpack(raw) for raw in messages],
        "header alone": lambda: _take(messages),
    }
    rows, _ = in_turns(ways, repeats)
    return [row | {"a frame (ms)": 1000 * row["seconds"] / len(messages)} for row in rows]


def _unpack(raw: bytes) -> NDArray[np.uint8]:
    return decode_compressed(bytes(deserialize_message(raw, CompressedImage).data))


def _take(messages: list[bytes]) -> None:
    buffer = ClipBuffer("/camera", rate=RATE, seconds=10.0, nbytes=2**30)
    for raw in messages:
        stamp, frame_id = peek_header(raw)
        if buffer.judge(stamp) in (Verdict.TAKEN, Verdict.JUMPED_BACK):
            decode = lazy_decoder(raw, compressed=True)
            buffer.add(BufferedFrame(stamp, frame_id, len(raw), decode))
