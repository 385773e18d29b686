# SPDX-License-Identifier: Apache-2.0
"""Measures reading a bag of compressed pictures against a plain loop."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rosbags.highlevel import AnyReader
from rosbags.rosbag2 import StoragePlugin, Writer

from groundmore_ros.bags.ahead import decoded_ahead
from groundmore_ros.bags.images import decode_compressed, to_jpeg
from groundmore_ros.bags.messages import build_message, typestore
from groundmore_ros.bags.sources import open_source
from groundmore_ros.measuring import in_turns

__all__ = ["bench_bags"]

KIND = "sensor_msgs/msg/CompressedImage"


def bench_bags(
    frames: Sequence[NDArray[np.uint8]], count: int, repeats: int
) -> list[dict[str, Any]]:
    """Decode all frames of an MCAP of 1280x720 JPEGs: rosbags in a plain loop, and ours.

    Args:
        frames: (H, W, 3) RGB, shown again and again.
        count: frames of the bag.
        repeats: of each way.
    """
    with tempfile.TemporaryDirectory() as folder:
        bag = Path(folder) / "bag"
        _write(bag, frames, count)
        rows, results = in_turns(
            {"plain loop": lambda: _plain(bag), "ours": lambda: _ours(bag)}, repeats
        )
    return [
        row | {"frames/s": count / row["seconds"], "checksum": results[row["way"]]} for row in rows
    ]


def _write(bag: Path, frames: Sequence[NDArray[np.uint8]], count: int) -> None:
    large = [np.array(Image.fromarray(f).resize((1280, 720))) for f in frames]
    files = [np.frombuffer(to_jpeg(f), np.uint8) for f in large]
    with Writer(bag, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connection = writer.add_connection("/image/compressed", KIND, typestore=typestore())
        for k in range(count):
            stamp = 10**9 + k * 10**9 // 30
            time = {"sec": stamp // 10**9, "nanosec": stamp % 10**9}
            message = build_message(
                KIND,
                {
                    "header": {"stamp": time, "frame_id": "camera"},
                    "format": "jpeg",
                    "data": files[k % len(files)],
                },
            )
            writer.write(connection, stamp, typestore().serialize_cdr(message, KIND))


def _plain(bag: Path) -> int:
    total = 0
    with AnyReader([bag], default_typestore=typestore()) as reader:
        for connection, _, raw in reader.messages():
            message: Any = reader.deserialize(raw, connection.msgtype)
            total += int(decode_compressed(bytes(message.data))[0, 0, 0])
    return total


def _ours(bag: Path) -> int:
    with open_source(bag) as source:
        return sum(
            int(picture[0, 0, 0])
            for _, picture in decoded_ahead(source.frames())
            if picture is not None
        )
