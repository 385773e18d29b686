# SPDX-License-Identifier: Apache-2.0
"""ROS images to RGB arrays, without cv_bridge.

Takes anything with the fields of ``sensor_msgs/Image`` or ``CompressedImage``, from rclpy or from a
bag. It honours ``step``, ``encoding`` and ``is_bigendian``.
"""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from groundmore_ros.bags.buffers import Buffers
from groundmore_ros.errors import BadFrameError

__all__ = ["ENCODINGS", "MAX_PIXELS", "decode_compressed", "decode_image", "to_jpeg"]

RGB = NDArray[np.uint8]
MAX_PIXELS = 64_000_000
JPEG_START = b"\xff\xd8"
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")  # nothing that starts other programs
Image.MAX_IMAGE_PIXELS = MAX_PIXELS
_BUFFERS = Buffers(most=8, most_bytes=64 * 1024 * 1024)  # two pictures of 3840x2160

# Bytes a pixel, bytes a sample, and how rows (H, W, channels) become RGB.
_Converter = Callable[[NDArray[Any]], RGB]


def _grey(pixels: NDArray[Any]) -> RGB:
    return np.repeat(pixels.reshape(*pixels.shape[:2], 1), 3, axis=2)


def _grey16(pixels: NDArray[Any]) -> RGB:
    return _grey((pixels >> 8).astype(np.uint8))


def _first3(pixels: NDArray[Any]) -> RGB:
    return np.ascontiguousarray(pixels[..., :3])


def _first3_reversed(pixels: NDArray[Any]) -> RGB:
    return np.ascontiguousarray(pixels[..., 2::-1])


def _high_bytes(convert: _Converter) -> _Converter:
    return lambda pixels: convert((pixels >> 8).astype(np.uint8))


def _yuv(first_luma: int) -> _Converter:
    """4:2:2, pairs of pixels; luma at even or odd bytes. Limited-range BT.601, as cameras send."""

    def convert(pixels: NDArray[Any]) -> RGB:
        height, width, _ = pixels.shape
        if width % 2:
            raise BadFrameError(f"width is {width}; yuv422 expects an even one")
        quads = pixels.reshape(height, width // 2, 4).astype(np.float32)
        luma = 1.164383 * (quads[..., first_luma::2].reshape(height, width) - 16)
        chroma = quads[..., 1 - first_luma :: 2] - 128
        u, v = (np.repeat(chroma[..., i], 2, axis=1) for i in (0, 1))
        red, blue = luma + 1.596027 * v, luma + 2.017232 * u
        rgb = np.stack([red, luma - 0.391762 * u - 0.812968 * v, blue], 2)
        return np.clip(np.rint(rgb), 0, 255).astype(np.uint8)

    return convert


def _bayer(pattern: str) -> _Converter:
    """Bilinear interpolation; the pattern names the first two rows' colours from the top left."""

    def convert(mosaic: NDArray[Any]) -> RGB:
        if mosaic.dtype != np.uint8:
            mosaic = (mosaic >> 8).astype(np.uint8)
        raw = mosaic.reshape(mosaic.shape[:2]).astype(np.float32)
        channels = []
        for colour in "rgb":
            known = np.zeros(raw.shape, np.float32)
            for at, name in enumerate(pattern):
                if name == colour:
                    known[at // 2 :: 2, at % 2 :: 2] = 1
            channels.append(_spread(raw * known) / np.maximum(_spread(known), 1e-6))
            channels[-1] = np.where(known > 0, raw, channels[-1])
        return np.clip(np.rint(np.stack(channels, axis=2)), 0, 255).astype(np.uint8)

    return convert


def _spread(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sums over 3 x 3 neighbours, near ones weighted twice, corners once."""
    padded = np.pad(values, 1)
    rows = padded[:-2] + 2 * padded[1:-1] + padded[2:]
    return np.asarray(rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:])


# encoding: (channels, numpy type of a sample, conversion)
ENCODINGS: dict[str, tuple[int, str, _Converter]] = {
    "rgb8": (3, "u1", _first3),
    "bgr8": (3, "u1", _first3_reversed),
    "rgba8": (4, "u1", _first3),
    "bgra8": (4, "u1", _first3_reversed),
    "rgb16": (3, "u2", _high_bytes(_first3)),
    "bgr16": (3, "u2", _high_bytes(_first3_reversed)),
    "rgba16": (4, "u2", _high_bytes(_first3)),
    "bgra16": (4, "u2", _high_bytes(_first3_reversed)),
    "mono8": (1, "u1", _grey),
    "8UC1": (1, "u1", _grey),
    "8UC3": (3, "u1", _first3_reversed),
    "mono16": (1, "u2", _grey16),
    "16UC1": (1, "u2", _grey16),
    "yuv422": (2, "u1", _yuv(1)),
    "uyvy": (2, "u1", _yuv(1)),
    "yuv422_yuy2": (2, "u1", _yuv(0)),
    "yuyv": (2, "u1", _yuv(0)),
    **{
        f"bayer_{pattern}{bits}": (1, f"u{bits // 8}", _bayer(pattern))
        for pattern in ("rggb", "bggr", "gbrg", "grbg")
        for bits in (8, 16)
    },
}


def decode_image(message: Any) -> RGB:
    """A ``sensor_msgs/Image`` as (H, W, 3) uint8 RGB, in memory of its own.

    Raises:
        BadFrameError: an unknown encoding, an impossible size, or data that is too short.
    """
    height, width, step = int(message.height), int(message.width), int(message.step)
    encoding = str(message.encoding)
    if encoding not in ENCODINGS:
        raise BadFrameError(f"encoding is {encoding!r}; expected one of {', '.join(ENCODINGS)}")
    channels, sample, convert = ENCODINGS[encoding]
    _check_size(height, width)
    kind = np.dtype(sample).newbyteorder(">" if message.is_bigendian else "<")
    row = width * channels * kind.itemsize
    if step < row:
        raise BadFrameError(f"step is {step}; {width} pixels of {encoding} need at least {row}")
    data = np.frombuffer(message.data, np.uint8)
    # The last row may be cut off after its pixels.
    if data.size < step * (height - 1) + row:
        raise BadFrameError(
            f"data has {data.size} bytes; expected step * height = {step} * {height}"
        )
    rows = np.lib.stride_tricks.as_strided(data, (height, row), (step, 1), writeable=False)
    pixels = np.ascontiguousarray(rows).view(kind).reshape(height, width, channels)
    return convert(pixels)


def decode_compressed(data: bytes) -> RGB:
    """A JPEG, PNG or other file as (H, W, 3) uint8 RGB.

    Raises:
        BadFrameError: it is no picture, or a broken or too large one.
    """
    if data.startswith(JPEG_START):
        try:
            return _decode_jpeg(data)
        except ValueError:
            # Refuses all that libjpeg warns of; of what cameras really send, Pillow is the judge.
            pass
    return _decode_any(data)


def _decode_jpeg(data: bytes) -> RGB:
    """Straight into the array, outside Python's lock; Pillow copies three times, mostly inside."""
    height, width, *_ = simplejpeg.decode_jpeg_header(data)
    _check_size(height, width)
    picture = _BUFFERS.array(height, width, 3)
    simplejpeg.decode_jpeg(data, buffer=picture)
    return picture


def _decode_any(data: bytes) -> RGB:
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
            _check_size(picture.height, picture.width)
            if picture.mode.startswith("I"):  # 16-bit grey
                return _grey16(np.asarray(picture).astype(np.uint16))
            return np.array(picture.convert("RGB"))
    except Exception as error:  # what damaged files raise has no common base
        raise BadFrameError(f"compressed image of {len(data)} bytes: {error}") from error


def to_jpeg(frame: RGB, quality: int = 90) -> bytes:
    """A frame (H, W, 3) RGB as a JPEG file."""
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def _check_size(height: int, width: int) -> None:
    if height < 1 or width < 1 or height * width > MAX_PIXELS:
        raise BadFrameError(f"size is {width} x {height}; expected 1 to {MAX_PIXELS} pixels")
