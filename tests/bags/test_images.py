# SPDX-License-Identifier: Apache-2.0
import contextlib
import importlib.util
import io
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Picture

from groundmore_ros.bags.images import ENCODINGS, decode_compressed, decode_image, to_jpeg
from groundmore_ros.errors import BadFrameError

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 255, (6, 8, 3), np.uint8)


def image(
    encoding: str, rows: np.ndarray, *, padding: int = 0, big: bool = False, width: int = 8
) -> SimpleNamespace:
    """A message of rows (H, bytes) with some bytes of padding behind each."""
    padded = np.pad(rows, ((0, 0), (0, padding)), constant_values=77)
    return SimpleNamespace(
        height=len(rows),
        width=width,
        step=padded.shape[1],
        encoding=encoding,
        is_bigendian=int(big),
        data=padded.tobytes(),
    )


@pytest.mark.parametrize("padding", [0, 5])
@pytest.mark.parametrize(
    ("encoding", "stored"),
    [
        ("rgb8", PIXELS),
        ("bgr8", PIXELS[..., ::-1]),
        ("rgba8", np.dstack([PIXELS, np.full((6, 8), 9, np.uint8)])),
        ("bgra8", np.dstack([PIXELS[..., ::-1], np.full((6, 8), 9, np.uint8)])),
        ("8UC3", PIXELS[..., ::-1]),
    ],
)
def test_colour_encodings(encoding: str, stored: np.ndarray, padding: int) -> None:
    message = image(encoding, stored.reshape(6, -1), padding=padding)
    assert np.array_equal(decode_image(message), PIXELS)


@pytest.mark.parametrize("encoding", ["mono8", "8UC1"])
def test_grey(encoding: str) -> None:
    grey = PIXELS[..., 0]
    expected = np.repeat(grey[..., None], 3, axis=2)
    assert np.array_equal(decode_image(image(encoding, grey, padding=3)), expected)


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("encoding", ["mono16", "16UC1"])
def test_16_bit_grey_in_both_byte_orders(encoding: str, big: bool) -> None:
    deep = RNG.integers(0, 65535, (6, 8)).astype(">u2" if big else "<u2")
    message = image(encoding, deep.view(np.uint8).reshape(6, -1), big=big)
    expected = np.repeat((deep.astype(int) >> 8).astype(np.uint8)[..., None], 3, axis=2)
    assert np.array_equal(decode_image(message), expected)


@pytest.mark.parametrize("big", [False, True])
def test_16_bit_colour(big: bool) -> None:
    deep = (PIXELS.astype(np.uint16) * 257).astype(">u2" if big else "<u2")
    rows = deep[..., ::-1].copy().view(np.uint8).reshape(6, -1)
    assert np.array_equal(decode_image(image("bgr16", rows, big=big)), PIXELS)


@pytest.mark.parametrize(
    ("encoding", "order"),
    [("yuv422", "uyvy"), ("uyvy", "uyvy"), ("yuv422_yuy2", "yuyv"), ("yuyv", "yuyv")],
)
def test_yuv422(encoding: str, order: str) -> None:
    quad = {"u": 90, "v": 200}
    luma = iter((60, 180))
    row = [next(luma) if c == "y" else quad[c] for c in order] * 4
    decoded = decode_image(image(encoding, np.array([row] * 6, np.uint8)))
    for column, y in enumerate((60, 180)):
        u, v = 90 - 128, 200 - 128
        grey = 1.164383 * (y - 16)
        rgb = [grey + 1.596027 * v, grey - 0.391762 * u - 0.812968 * v, grey + 2.017232 * u]
        expected = np.clip(np.rint(rgb), 0, 255)
        assert np.array_equal(decoded[0, column], expected)
        assert np.array_equal(decoded[5, column + 6], expected)


@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
@pytest.mark.parametrize("bits", [8, 16])
def test_bayer_of_one_colour_is_that_colour(pattern: str, bits: int) -> None:
    colour = {"r": 200, "g": 100, "b": 30}
    mosaic = np.zeros((6, 8), np.uint8)
    for at, name in enumerate(pattern):
        mosaic[at // 2 :: 2, at % 2 :: 2] = colour[name]
    rows = mosaic if bits == 8 else (mosaic.astype("<u2") * 257).view(np.uint8)
    decoded = decode_image(image(f"bayer_{pattern}{bits}", rows.reshape(6, -1)))
    assert np.array_equal(decoded, np.broadcast_to([200, 100, 30], (6, 8, 3)))


def test_last_row_may_end_after_its_pixels() -> None:
    message = image("rgb8", PIXELS.reshape(6, -1), padding=8)
    message.data = message.data[:-8]
    assert np.array_equal(decode_image(message), PIXELS)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"encoding": "hsv99"}, "encoding is 'hsv99'"),
        ({"width": 0}, "size is 0 x 6"),
        ({"height": 0}, "size is 8 x 0"),
        ({"width": 10**6, "height": 10**6, "step": 3 * 10**6}, "size is 1000000 x 1000000"),
        ({"step": 23}, "step is 23; 8 pixels of rgb8 need at least 24"),
        ({"data": b"abc"}, "data has 3 bytes; expected step \\* height = 24 \\* 6"),
        ({"encoding": "yuv422", "width": 7, "step": 24}, "width is 7"),
    ],
)
def test_hostile_images(change: dict, complaint: str) -> None:
    message = image("rgb8", PIXELS.reshape(6, -1))
    for name, value in change.items():
        setattr(message, name, value)
    with pytest.raises(BadFrameError, match=complaint):
        decode_image(message)


@given(
    encoding=st.sampled_from(sorted(ENCODINGS)),
    height=st.integers(0, 9),
    width=st.integers(0, 9),
    step=st.integers(0, 80),
    data=st.binary(max_size=400),
    big=st.booleans(),
)
def test_any_image_is_decoded_or_refused(
    encoding: str, height: int, width: int, step: int, data: bytes, big: bool
) -> None:
    message = SimpleNamespace(
        encoding=encoding, height=height, width=width, step=step, data=data, is_bigendian=big
    )
    try:
        decoded = decode_image(message)
    except BadFrameError:
        return
    assert decoded.shape == (height, width, 3)
    assert decoded.dtype == np.uint8


def test_a_jpeg_of_one_colour() -> None:
    smooth = np.full((16, 24, 3), [200, 40, 90], np.uint8)
    assert np.abs(decode_compressed(to_jpeg(smooth)).astype(int) - smooth).max() <= 4


def file_of(picture: Picture.Image, kind: str = "JPEG", **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


NOISE = Picture.fromarray(RNG.integers(0, 255, (30, 41, 3), np.uint8))


@pytest.mark.parametrize(
    "data",
    [
        file_of(NOISE),
        file_of(NOISE, progressive=True),
        file_of(NOISE, subsampling=0),
        file_of(NOISE.convert("L")),
        file_of(NOISE.convert("CMYK")),
        file_of(NOISE)[:900] + file_of(NOISE)[920:],  # libjpeg warns; the upper rows are good
        file_of(NOISE, "PNG"),
    ],
    ids=["jpeg", "progressive", "4:4:4", "grey", "cmyk", "lost bytes", "png"],
)
def test_files_are_read_as_pillow_reads_them(data: bytes) -> None:
    with Picture.open(io.BytesIO(data)) as picture:
        expected = np.array(picture.convert("RGB"))
    # Black ink is rounded differently.
    assert np.abs(decode_compressed(data).astype(int) - expected).max() <= (picture.mode == "CMYK")


def test_a_jpeg_that_breaks_off_is_refused() -> None:
    data = file_of(NOISE)
    with pytest.raises(BadFrameError, match=f"compressed image of {len(data) // 2} bytes"):
        decode_compressed(data[: len(data) // 2])


def test_a_jpeg_that_claims_too_many_pixels_is_refused() -> None:
    data = bytearray(file_of(NOISE))
    at = data.index(b"\xff\xc0") + 5  # height and width in the frame's header
    data[at : at + 4] = b"\x23\x28\x23\x28"
    with pytest.raises(BadFrameError, match="size is 9000 x 9000; expected 1 to 64000000"):
        decode_compressed(bytes(data))


@given(st.binary(max_size=300))
def test_any_bytes_are_a_picture_or_refused(data: bytes) -> None:
    with pytest.raises(BadFrameError, match="compressed image"):
        decode_compressed(data)


@given(st.integers(0, 500), st.binary(min_size=1, max_size=8))
def test_damaged_jpeg_is_a_picture_or_refused(at: int, junk: bytes) -> None:
    jpeg = bytearray(to_jpeg(PIXELS))
    jpeg[at : at + len(junk)] = junk
    with contextlib.suppress(BadFrameError):
        assert decode_compressed(bytes(jpeg)).dtype == np.uint8


@pytest.mark.skipif(
    importlib.util.find_spec("cv_bridge") is None, reason="cv_bridge comes with a ROS installation"
)
@pytest.mark.parametrize("encoding", ["rgb8", "bgr8", "rgba8", "bgra8", "mono8", "yuv422"])
def test_same_as_cv_bridge(encoding: str) -> None:
    from cv_bridge import CvBridge
    from sensor_msgs.msg import Image

    channels = ENCODINGS[encoding][0]
    data = RNG.integers(0, 255, (6, 8 * channels), np.uint8)
    message = Image(height=6, width=8, step=8 * channels, encoding=encoding, data=data.tobytes())
    assert np.array_equal(decode_image(message), CvBridge().imgmsg_to_cv2(message, "rgb8"))
