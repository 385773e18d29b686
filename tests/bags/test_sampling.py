# SPDX-License-Identifier: Apache-2.0
from hypothesis import given
from hypothesis import strategies as st

from groundmore_ros.bags.sampling import SlotSampler, Verdict, evenly

SECOND = 10**9


def test_first_frame_of_each_slot_is_taken() -> None:
    sampler = SlotSampler(5.0)
    verdicts = [sampler.judge(stamp) for stamp in (100, 150, 200_000_000, 399_999_999, 400_000_000)]
    taken, skipped = Verdict.TAKEN, Verdict.SKIPPED
    assert verdicts == [taken, skipped, taken, skipped, taken]


def test_stamps_on_the_slots_borders_are_all_taken() -> None:
    # In floating point, k * 0.2 * 5 is sometimes less than k.
    start = 1_700_000_000 * SECOND
    sampler = SlotSampler(5.0)
    stamps = [start + k * 200_000_000 for k in range(1000)]
    assert all(sampler.judge(stamp) is Verdict.TAKEN for stamp in stamps)


def test_duplicates_late_frames_and_jumps_back() -> None:
    sampler = SlotSampler(10.0)
    assert sampler.judge(5 * SECOND) is Verdict.TAKEN
    assert sampler.judge(5 * SECOND) is Verdict.DUPLICATE
    assert sampler.judge(5 * SECOND - 40_000_000) is Verdict.LATE
    assert sampler.judge(2 * SECOND) is Verdict.JUMPED_BACK
    assert sampler.judge(2 * SECOND + 1) is Verdict.SKIPPED
    assert sampler.judge(3 * SECOND) is Verdict.TAKEN


def test_a_recording_shorter_than_a_second_may_loop() -> None:
    sampler = SlotSampler(10.0)
    stamps = [SECOND + k * SECOND // 10 for k in range(8)]
    assert [sampler.judge(s) for s in stamps] == [Verdict.TAKEN] * 8
    again = [sampler.judge(s) for s in stamps]
    assert again == [Verdict.LATE] * 2 + [Verdict.JUMPED_BACK] + [Verdict.TAKEN] * 5


def test_single_frames_out_of_order_are_no_loop() -> None:
    sampler = SlotSampler(10.0)
    tenths = [10, 12, 11, 13, 12, 11, 14, 13, 15]
    verdicts = [sampler.judge(t * SECOND // 10) for t in tenths]
    assert Verdict.JUMPED_BACK not in verdicts


@given(st.lists(st.integers(1, 10**11), max_size=40), st.sampled_from([1.0, 5.0, 7.3, 29.97]))
def test_at_most_one_frame_a_slot_unless_the_clock_jumps(stamps: list[int], rate: float) -> None:
    sampler = SlotSampler(rate)
    held: list[int] = []
    for stamp in stamps:
        verdict = sampler.judge(stamp)
        if verdict is Verdict.JUMPED_BACK:
            held = []
        if verdict in (Verdict.TAKEN, Verdict.JUMPED_BACK):
            held.append(stamp)
        slots = [sampler.slot(s) for s in held]
        assert slots == sorted(set(slots))


@given(st.integers(1, 400), st.integers(1, 40))
def test_evenly_keeps_the_ends_and_the_order(count: int, most: int) -> None:
    chosen = evenly(count, most)
    assert len(chosen) == min(count, most)
    assert chosen == sorted(set(chosen))
    assert chosen[-1] == count - 1
    if most > 1:
        assert chosen[0] == 0
