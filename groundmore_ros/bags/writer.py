# SPDX-License-Identifier: Apache-2.0
"""Results as an MCAP bag and as pictures."""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import StoragePlugin, Writer

from groundmore_ros.bags.messages import build_message, typestore
from groundmore_ros.bags.records import (
    Fields,
    Result,
    answer_fields,
    event_fields,
    mask_fields,
    time_fields,
)

__all__ = ["BagFile", "BagWriter", "VideoWriter", "overlay", "write_masks"]

HIGHLIGHT = np.array([255, 64, 160], np.float32)  # colour of masks in overlays, RGB
OUTLINE = np.array([255, 255, 255], np.float32)  # of masks inside the event
FAINT = 0.25  # how strongly masks outside the event are drawn


class BagWriter:
    """An MCAP bag of images and of this package's messages. Use it in a ``with`` statement."""

    def __init__(self, folder: Path) -> None:
        """The folder must not exist."""
        self._writer = Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP)
        self._connections: dict[str, Any] = {}

    def __enter__(self) -> Self:
        self._writer.open()
        return self

    def __exit__(self, *args: object) -> None:
        self._writer.close()

    def write(self, topic: str, kind: str, stamp: int, fields: Fields) -> None:
        """Add a message, logged at its stamp (ns)."""
        raw = typestore().serialize_cdr(build_message(kind, fields), kind)
        self.write_raw(topic, kind, stamp, raw)

    def write_raw(self, topic: str, kind: str, stamp: int, raw: bytes | memoryview) -> None:
        """Add a serialized message, logged at a time (ns)."""
        if topic not in self._connections:
            self._connections[topic] = self._writer.add_connection(
                topic, kind, typestore=typestore(), offered_qos_profiles=[_RELIABLE]
            )
        self._writer.write(self._connections[topic], stamp, raw)

    def write_jpeg(self, topic: str, stamp: int, frame_id: str, jpeg: bytes) -> None:
        """Add a JPEG as ``sensor_msgs/CompressedImage``."""
        fields = {
            "header": {"stamp": time_fields(stamp), "frame_id": frame_id},
            "format": "jpeg",
            "data": np.frombuffer(jpeg, np.uint8),
        }
        self.write(topic, "sensor_msgs/msg/CompressedImage", stamp, fields)

    def write_result(self, result: Result, prefix: str = "/mora") -> None:
        """Add an answer's masks, events and answer, as the node publishes them."""
        end = result.stamps[-1] if result.stamps else 0
        for mask in mask_fields(result):
            self.write(f"{prefix}/masks", "groundmore/msg/MotionMask", _stamp(mask), mask)
        for event in event_fields(result):
            self.write(f"{prefix}/events", "groundmore/msg/EventSpan", _stamp(event), event)
        self.write(f"{prefix}/answers", "groundmore/msg/MotionAnswer", end, answer_fields(result))


class BagFile(BagWriter):
    """A bag that is one ``.mcap`` file, which opens by itself."""

    def __init__(self, path: Path) -> None:
        """The file must not exist."""
        self._path = path
        self._parts = path.with_suffix(".parts")
        super().__init__(self._parts)

    def __exit__(self, *args: object) -> None:
        super().__exit__(*args)
        next(self._parts.glob("*.mcap")).rename(self._path)
        (self._parts / "metadata.yaml").unlink()
        self._parts.rmdir()


def _stamp(fields: Fields) -> int:
    stamp = fields["header"]["stamp"]
    return int(stamp["sec"] * 10**9 + stamp["nanosec"])


_RELIABLE = Qos(
    history=QosHistory.KEEP_LAST,
    depth=64,
    reliability=QosReliability.RELIABLE,
    durability=QosDurability.VOLATILE,
    deadline=QosTime(2147483647, 4294967295),
    lifespan=QosTime(2147483647, 4294967295),
    liveliness=QosLiveliness.AUTOMATIC,
    liveliness_lease_duration=QosTime(2147483647, 4294967295),
    avoid_ros_namespace_conventions=False,
)


def overlay(picture: NDArray[np.uint8], mask: NDArray[np.bool_], active: bool) -> NDArray[np.uint8]:
    """A picture (H, W, 3) with a mask (H, W) drawn into it, faintly outside the event."""
    strength = 0.55 if active else FAINT
    drawn = picture.astype(np.float32)
    drawn[mask] += strength * (HIGHLIGHT - drawn[mask])
    if active:
        inner = mask.copy()
        inner[1:-1, 1:-1] &= mask[:-2, 1:-1] & mask[2:, 1:-1] & mask[1:-1, :-2] & mask[1:-1, 2:]
        drawn[mask & ~inner] = OUTLINE
    return np.rint(drawn).astype(np.uint8)


def write_masks(folder: Path, stamps: Iterable[int], masks: NDArray[np.bool_]) -> None:
    """One 0/255 PNG for each mask (T, H, W), named by its stamp in ns."""
    folder.mkdir(parents=True, exist_ok=True)
    for stamp, mask in zip(stamps, masks, strict=True):
        Image.fromarray(mask.astype(np.uint8) * 255).save(folder / f"{stamp:020d}.png")


class VideoWriter:
    """An H.264 video, picture by picture; odd edges are cut off, other sizes are fitted in."""

    def __init__(self, path: Path, rate: float) -> None:
        """Rate in Hz. No file is written without a picture."""
        self._path = path
        self._rate = Fraction(rate).limit_denominator(1000)
        self._container: Any = None
        self._stream: Any = None

    def add(self, picture: NDArray[np.uint8]) -> None:
        """Add a picture (H, W, 3) RGB; the first one sets the size."""
        import av

        if self._container is None:
            self._container = av.open(str(self._path), "w")
            self._stream = self._container.add_stream("libx264", self._rate)
            self._stream.height, self._stream.width = (n - n % 2 for n in picture.shape[:2])
            self._stream.pix_fmt = "yuv420p"
            self._stream.options = {"crf": "18"}
        height, width = self._stream.height, self._stream.width
        if picture.shape[0] - height not in (0, 1) or picture.shape[1] - width not in (0, 1):
            picture = np.asarray(Image.fromarray(picture).resize((width, height)))
        even = np.ascontiguousarray(picture[:height, :width])
        frame = av.VideoFrame.from_ndarray(even, format="rgb24")
        self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        """Finish the file."""
        if self._container is not None:
            self._container.mux(self._stream.encode())
            self._container.close()
