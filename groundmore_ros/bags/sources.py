# SPDX-License-Identifier: Apache-2.0
"""Frames of a bag, a video file or a folder of pictures, one after the other, never all at once."""

import struct
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from groundmore_ros.bags.images import decode_compressed, decode_image
from groundmore_ros.bags.messages import typestore
from groundmore_ros.errors import BadFrameError, SourceError

__all__ = ["Frame", "Source", "open_source", "stamp_of"]

IMAGE_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
USUAL_RATE = 30.0  # Hz, of a video that does not tell its own
FOLDER_RATE = 10.0  # Hz, of pictures in a folder, which have no stamps of their own


@dataclass(frozen=True)
class Frame:
    """One frame, decoded when it is asked for.

    Attributes:
        stamp: ns.
        received: ns, when it was recorded.
        frame_id: of the camera.
        decode: gives (H, W, 3) uint8 RGB or raises BadFrameError.
    """

    stamp: int
    received: int
    frame_id: str
    decode: Callable[[], NDArray[np.uint8]]


class Source(Protocol):
    """Something that frames can be read from."""

    camera: str

    def frames(self, received: tuple[int, int] | None = None) -> Iterator[Frame]:
        """Frames in the order they were recorded; they may be decoded later, by other threads.

        Args:
            received: first and last time (ns) of recording; None: all frames.
        """
        ...


def open_source(path: Path, topic: str | None = None) -> AbstractContextManager[Source]:
    """Open a rosbag2 (folder, .mcap or .db3), a video file or a folder of pictures.

    Args:
        path: what to open.
        topic: a bag's image topic; None takes the only one.

    Raises:
        SourceError: nothing of that kind is there, or no such topic (the message lists those).
    """
    if not path.exists():
        raise SourceError(f"{path} does not exist")
    if path.is_dir() and not (path / "metadata.yaml").is_file():
        return _Folder(path)
    if path.is_dir() or path.suffix in (".mcap", ".db3", ".bag"):
        return _Bag(path, topic)
    return _Video(path)


def stamp_of(header: Any) -> int:
    """Nanoseconds of a message's header."""
    return int(header.stamp.sec) * 10**9 + int(header.stamp.nanosec)


# A damaged bag fails in many ways inside the reader and its storage plug-ins.
_BAG_ERRORS = (OSError, ValueError, KeyError, IndexError, AssertionError, struct.error)


class _Closing:
    """What all sources share: the file is closed at the end of a ``with`` statement."""

    _file: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *args: object) -> None:
        if self._file is not None:
            self._file.close()


class _Bag(_Closing):
    def __init__(self, path: Path, topic: str | None) -> None:
        from rosbags.highlevel import AnyReader, AnyReaderError
        from rosbags.rosbag2 import ReaderError

        self._path = path
        try:
            self._file = AnyReader([path], default_typestore=typestore())
            self._file.open()
        except (AnyReaderError, ReaderError, *_BAG_ERRORS) as error:
            raise SourceError(f"{path} is no bag that can be read: {error}") from error
        try:
            self._connections = self._choose(topic)
        except SourceError:
            self._file.close()
            raise
        self.camera = self._connections[0].topic

    def _choose(self, topic: str | None) -> list[Any]:
        images = [c for c in self._file.connections if c.msgtype in IMAGE_TYPES]
        topics = sorted({c.topic for c in images})
        if topic is None and len(topics) == 1:
            topic = topics[0]
        wanted = "/" + topic.lstrip("/") if topic else None
        chosen = [c for c in images if c.topic == wanted]
        if not chosen:
            asked = f"no image topic {topic!r}" if topic else "name one image topic"
            raise SourceError(f"{self._path}: {asked}; it has: {', '.join(topics) or 'none'}")
        return chosen

    def frames(self, received: tuple[int, int] | None = None) -> Iterator[Frame]:
        # rosbags leaves the message at the end out.
        limits = {"start": received[0], "stop": received[1] + 1} if received else {}
        try:
            for connection, at, raw in self._file.messages(self._connections, **limits):
                message = self._file.deserialize(raw, connection.msgtype)
                decode = _decoder(message, connection.msgtype)
                yield Frame(stamp_of(message.header) or at, at, message.header.frame_id, decode)
        except _BAG_ERRORS as error:
            raise SourceError(f"{self._path} is damaged: {error!r}") from error


def _decoder(message: Any, kind: str) -> Callable[[], NDArray[np.uint8]]:
    if kind == IMAGE_TYPES[0]:
        return lambda: decode_image(message)
    return lambda: decode_compressed(bytes(message.data))


class _Video(_Closing):
    camera = "video"

    def __init__(self, path: Path) -> None:
        import av

        self._path = path
        try:
            self._file = av.open(str(path))
            self._stream = self._file.streams.video[0]
        except (OSError, ValueError, IndexError) as error:
            raise SourceError(f"{path} is no video that can be read: {error}") from error

    def frames(self, received: tuple[int, int] | None = None) -> Iterator[Frame]:
        import av

        try:
            first = last = None
            step = 1 / float(self._stream.average_rate or USUAL_RATE)
            for frame in self._file.decode(self._stream):
                # Raw streams and broken packets come without a time.
                seconds = frame.time if frame.pts is not None else (last or 0.0) + step
                last = seconds
                first = seconds if first is None else first
                stamp = round((seconds - first) * 1e9)
                if received and stamp > received[1]:
                    return
                if not received or stamp >= received[0]:
                    yield Frame(stamp, stamp, self.camera, _video_decoder(frame))
        except av.error.FFmpegError as error:
            raise SourceError(f"{self._path} breaks off: {error}") from error


def _video_decoder(frame: Any) -> Callable[[], NDArray[np.uint8]]:
    return lambda: np.asarray(frame.to_ndarray(format="rgb24"))


class _Folder(_Closing):
    camera = "folder"

    def __init__(self, path: Path) -> None:
        self._files = sorted(p for p in path.iterdir() if p.suffix.lower() in PICTURES)
        if not self._files:
            raise SourceError(f"{path} holds no bag (metadata.yaml) and no pictures")

    def frames(self, received: tuple[int, int] | None = None) -> Iterator[Frame]:
        for index, file in enumerate(self._files):
            stamp = round(index * 1e9 / FOLDER_RATE)
            if not received or received[0] <= stamp <= received[1]:
                yield Frame(stamp, stamp, self.camera, _picture_decoder(file))


def _picture_decoder(file: Path) -> Callable[[], NDArray[np.uint8]]:
    def decode() -> NDArray[np.uint8]:
        try:
            return decode_compressed(file.read_bytes())
        except OSError as error:
            raise BadFrameError(f"{file}: {error}") from error

    return decode
