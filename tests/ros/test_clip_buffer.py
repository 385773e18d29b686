# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from groundmore_ros.bags.sampling import Verdict
from groundmore_ros.mora.following import EncodedFrame
from groundmore_ros.mora.modeling import FrameFeatures
from groundmore_ros.ros.clip_buffer import BufferedFrame, ClipBuffer, Held

SECOND = 10**9


def put(buffer: ClipBuffer, stamp: int, nbytes: int = 10) -> Verdict:
    verdict = buffer.judge(stamp)
    if verdict in (Verdict.TAKEN, Verdict.JUMPED_BACK):
        buffer.add(BufferedFrame(stamp, "camera", nbytes, lambda: np.zeros((2, 2, 3), np.uint8)))
    return verdict


def stamps(buffer: ClipBuffer) -> list[int]:
    return [f.stamp for f in buffer.between(0, 2**62)]


def test_bounded_in_seconds() -> None:
    buffer = ClipBuffer("/a", rate=1.0, seconds=3.0, nbytes=10**6)
    for k in range(1, 9):
        put(buffer, k * SECOND)
    assert stamps(buffer) == [k * SECOND for k in (5, 6, 7, 8)]


def test_bounded_in_bytes_but_never_empty() -> None:
    buffer = ClipBuffer("/a", rate=1.0, seconds=100.0, nbytes=25)
    for k in range(1, 5):
        put(buffer, k * SECOND)
    assert len(stamps(buffer)) == 2
    put(buffer, 6 * SECOND, nbytes=1000)
    assert stamps(buffer) == [6 * SECOND]


@pytest.mark.parametrize(
    ("device", "kept", "fill"),
    # Meta tensors stand in for a GPU's: like them, they take none of this machine's memory.
    [("cpu", 2, Held(2 * (10 + 40), 0)), ("meta", 2, Held(2 * 10, 2 * 40))],
)
def test_host_and_device_are_bounded_each(device: str, kept: int, fill: Held) -> None:
    features = FrameFeatures(
        torch.zeros(5, 1, device=device), torch.zeros(5, 1, 1, device=device), None
    )

    class Encoder:
        def encode(self, frame: np.ndarray) -> EncodedFrame:
            return EncodedFrame(features, *frame.shape[:2])

    buffer = ClipBuffer("/a", rate=1.0, seconds=100.0, nbytes=100 if device == "cpu" else 80)
    for k in range(1, 6):
        put(buffer, k * SECOND)
        for frame in buffer.between(0, 2**62):
            frame.features(Encoder())  # type: ignore[arg-type]
        buffer.tidy()
    assert len(stamps(buffer)) == kept
    assert buffer.fill() == (kept, kept, fill)


def test_a_jump_back_forgets_and_counts() -> None:
    buffer = ClipBuffer("/a", rate=1.0, seconds=100.0, nbytes=10**6)
    for stamp in (50, 51, 52, 10, 11):
        put(buffer, stamp * SECOND)
    assert stamps(buffer) == [10 * SECOND, 11 * SECOND]
    assert buffer.newest == 11 * SECOND
    assert buffer.counts == {"sampled": 5, "jumped_back": 1, "never_encoded": 3}


def test_broken_frames_are_counted_once_and_as_such() -> None:
    buffer = ClipBuffer("/a", rate=1.0, seconds=100.0, nbytes=10**6)
    for stamp in (50, 51, 52):
        put(buffer, stamp * SECOND)
    buffer.between(0, 2**62)[1].broken = True
    put(buffer, 10 * SECOND)  # a jump back
    buffer.tidy()
    assert buffer.counts == {"sampled": 4, "jumped_back": 1, "never_encoded": 2, "broken": 1}


def test_newest_includes_frames_that_are_not_kept() -> None:
    buffer = ClipBuffer("/a", rate=1.0, seconds=100.0, nbytes=10**6)
    put(buffer, 10 * SECOND)
    put(buffer, 10 * SECOND + 500)
    assert buffer.newest == 10 * SECOND + 500
    assert stamps(buffer) == [10 * SECOND]


@given(st.lists(st.tuples(st.integers(1, 60 * SECOND), st.integers(1, 40)), max_size=60))
def test_bounds_hold_whatever_arrives(frames: list[tuple[int, int]]) -> None:
    buffer = ClipBuffer("/a", rate=5.0, seconds=4.0, nbytes=100)
    for stamp, nbytes in frames:
        put(buffer, stamp, nbytes)
        held = stamps(buffer)
        assert held == sorted(set(held))
        count, _, (host, _) = buffer.fill()
        assert host <= 100 or count == 1
        if held:
            assert held[-1] - held[0] <= 4 * SECOND
    verdicts = ("sampled", "skipped", "duplicate", "late")
    assert sum(buffer.counts[v] for v in verdicts) == len(frames)
