# SPDX-License-Identifier: Apache-2.0
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from groundmore_ros.bags.clips import SampledFrame, clip_at, consecutive_clips
from groundmore_ros.bags.images import to_jpeg
from groundmore_ros.bags.records import time_fields
from groundmore_ros.bags.sources import Frame, open_source
from groundmore_ros.bags.writer import BagWriter, VideoWriter
from groundmore_ros.errors import BadFrameError, SourceError

SECOND = 10**9
PICTURE = np.full((24, 32, 3), 90, np.uint8)


class Stream:
    """A source of frames at a rate, decoded one at a time."""

    camera = "stream"

    def __init__(
        self, frames: int, rate: float, start: int = 0, broken: tuple[int, ...] = ()
    ) -> None:
        self.stamps = [start + round(k * SECOND / rate) for k in range(frames)]
        self.broken = broken
        self.decoded = 0

    def frames(self, received: tuple[int, int] | None = None) -> Iterator[Frame]:
        assert received is None
        for k, stamp in enumerate(self.stamps):

            def decode(k: int = k) -> np.ndarray:
                self.decoded += 1
                if k in self.broken:
                    raise BadFrameError("broken")
                return PICTURE

            yield Frame(stamp, stamp, "camera", decode)


def _stamps(frames: list[SampledFrame]) -> list[float]:
    return [f.stamp / SECOND for f in frames]


def test_only_sampled_frames_are_decoded() -> None:
    stream = Stream(300, 30.0)
    assert sum(len(c.frames) for c in consecutive_clips(stream, window=3, rate=5, most=99)) == 50
    assert stream.decoded == 50


@pytest.mark.parametrize("at", [2.0, 102.0])
def test_a_clip_ends_at_an_offset_or_a_stamp(at: float) -> None:
    stream = Stream(100, 10.0, start=100 * SECOND)
    clip = clip_at(stream, at, window=1.0, rate=5.0, most=16)
    assert _stamps(clip.frames) == pytest.approx([101.0, 101.2, 101.4, 101.6, 101.8, 102.0])
    assert stream.decoded == 6  # nothing before the clip, nothing behind it


def test_a_clip_has_at_most_so_many_frames_and_both_ends() -> None:
    clip = clip_at(Stream(100, 10.0), 5.0, window=4.0, rate=10.0, most=5)
    assert _stamps(clip.frames) == pytest.approx([1.0, 2.0, 3.0, 4.0, 5.0])


def test_consecutive_windows_share_no_frame_and_lose_none() -> None:
    clips = list(consecutive_clips(Stream(61, 5.0), window=3.0, rate=5.0, most=16))
    assert [len(c.frames) for c in clips] == [16, 15, 15, 15]
    stamps = [s for c in clips for s in _stamps(c.frames)]
    assert stamps == pytest.approx([k / 5 for k in range(61)])


def test_a_gap_makes_no_empty_window() -> None:
    stream = Stream(5, 5.0)
    stream.stamps += [s + 100 * SECOND for s in stream.stamps]
    clips = list(consecutive_clips(stream, window=3.0, rate=5.0, most=16))
    assert [len(c.frames) for c in clips] == [5, 5]


def test_broken_frames_are_left_out_and_counted() -> None:
    clip = clip_at(Stream(11, 5.0, broken=(3, 7)), 2.0, window=2.0, rate=5.0, most=16)
    assert (len(clip.frames), clip.broken) == (9, 2)
    with pytest.raises(SourceError, match="2 could not be decoded"):
        clip_at(Stream(2, 5.0, broken=(0, 1)), 0.2, window=2.0, rate=5.0, most=16)


def _bag(path: Path, topics: tuple[str, ...] = ("/image/compressed",)) -> Path:
    with BagWriter(path) as bag:
        for k in range(6):
            for topic in topics:
                stamp = 5 * SECOND + k * SECOND // 5
                bag.write_jpeg(topic, stamp, "camera", to_jpeg(PICTURE))
        fields = {
            "header": {"stamp": time_fields(5 * SECOND), "frame_id": "raw"},
            "height": 24,
            "width": 32,
            "encoding": "rgb8",
            "is_bigendian": 0,
            "step": 96,
            "data": PICTURE.reshape(-1),
        }
        if len(topics) > 1:
            bag.write("/raw", "sensor_msgs/msg/Image", 5 * SECOND, fields)
    return path


def test_a_bag_and_its_mcap_file(tmp_path: Path) -> None:
    bag = _bag(tmp_path / "bag")
    for path in (bag, next(bag.glob("*.mcap"))):
        with open_source(path) as source:
            frames = list(source.frames())
            assert source.camera == "/image/compressed"
        assert [f.stamp for f in frames] == [5 * SECOND + k * SECOND // 5 for k in range(6)]
        assert frames[0].frame_id == "camera"


def test_a_sqlite_bag(tmp_path: Path) -> None:
    from rosbags.rosbag2 import StoragePlugin, Writer

    from groundmore_ros.bags.messages import build_message, typestore

    kind = "sensor_msgs/msg/CompressedImage"
    with Writer(tmp_path / "bag", version=9, storage_plugin=StoragePlugin.SQLITE3) as writer:
        connection = writer.add_connection("/a", kind, typestore=typestore())
        fields = {
            "header": {"stamp": time_fields(SECOND), "frame_id": "c"},
            "format": "jpeg",
            "data": np.frombuffer(to_jpeg(PICTURE), np.uint8),
        }
        raw = typestore().serialize_cdr(build_message(kind, fields), kind)
        writer.write(connection, SECOND, raw)
    with open_source(tmp_path / "bag", "a") as source:
        (frame,) = source.frames()
        assert np.abs(frame.decode().astype(int) - PICTURE).max() < 4


def test_topics_are_chosen_and_wrong_ones_answered_with_a_list(tmp_path: Path) -> None:
    bag = _bag(tmp_path / "bag", ("/b/compressed", "/a/compressed"))
    with open_source(bag, "raw") as source:
        assert np.array_equal(next(iter(source.frames())).decode(), PICTURE)
    listed = "/a/compressed, /b/compressed, /raw"
    with pytest.raises(SourceError, match=f"no image topic 'nowhere'; it has: {listed}"):
        open_source(bag, "nowhere")
    with pytest.raises(SourceError, match=f"name one image topic; it has: {listed}"):
        open_source(bag)


def test_a_video(tmp_path: Path) -> None:
    video = VideoWriter(tmp_path / "a.mp4", 10.0)
    for k in range(12):
        video.add(np.full((25, 33, 3), 20 * k, np.uint8))
    video.close()
    with open_source(tmp_path / "a.mp4") as source:
        frames = [(f.stamp, f.decode()) for f in source.frames()]
    assert [stamp for stamp, _ in frames] == [round(k * SECOND / 10) for k in range(12)]
    assert frames[5][1].shape == (24, 32, 3)
    assert abs(int(frames[5][1].mean()) - 100) < 4


def test_a_folder_of_pictures(tmp_path: Path) -> None:
    for k in (2, 0, 1):
        Image.fromarray(np.full((4, 5, 3), k, np.uint8)).save(tmp_path / f"{k}.png")
    with open_source(tmp_path) as source:
        frames = list(source.frames())
    assert [f.stamp for f in frames] == [0, SECOND // 10, SECOND // 5]
    assert [int(f.decode().mean()) for f in frames] == [0, 1, 2]


@pytest.mark.parametrize("name", ["missing", "empty", "text.mp4", "cut.mcap"])
def test_what_is_no_recording(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "empty":
        path.mkdir()
    elif name == "text.mp4":
        path.write_text("no video")
    elif name == "cut.mcap":
        whole = next(_bag(tmp_path / "bag").glob("*.mcap")).read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SourceError, match=name.replace(".", r"\.")):
        open_source(path)
