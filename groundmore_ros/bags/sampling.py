# SPDX-License-Identifier: Apache-2.0
"""Which frames of a stream are kept: the first of each slot of 1 / clip_rate seconds."""

from enum import Enum

import numpy as np

__all__ = ["SlotSampler", "Verdict", "evenly"]

JUMP_BACK = 1_000_000_000  # ns; a stamp this much older than the newest is a new recording
# So are this many rising stamps in a row that are all late: a recording shorter than that, looped.
# Single frames out of order are not.
LATE_IN_A_ROW = 3


class Verdict(Enum):
    """What to do with a frame."""

    TAKEN = "taken"
    SKIPPED = "skipped"  # its slot has a frame
    DUPLICATE = "duplicate"
    LATE = "late"  # out of order
    JUMPED_BACK = "jumped_back"  # the clock went back: forget what was held, take this one


class SlotSampler:
    """Slot k holds the stamps in [k, k + 1) / rate; the first frame of each slot is taken.

    The rule looks at stamps alone, so a node and a reader of its recording keep the same frames.
    """

    def __init__(self, rate: float) -> None:
        """Rate is in Hz."""
        self._microhertz = round(rate * 1e6)
        self._newest: int | None = None
        self._slot: int | None = None
        self._late: list[int] = []

    def slot(self, stamp: int) -> int:
        """The slot of a stamp (ns), in whole numbers: none is rounded into another slot."""
        return stamp * self._microhertz // 10**15

    def judge(self, stamp: int) -> Verdict:
        """Whether to take the frame with this stamp (ns)."""
        if self._newest is not None:
            if stamp == self._newest:
                return Verdict.DUPLICATE
            if stamp < self._newest:
                return self._judge_older(stamp, self._newest)
        self._newest, self._late = stamp, []
        slot = self.slot(stamp)
        if slot == self._slot:
            return Verdict.SKIPPED
        self._slot = slot
        return Verdict.TAKEN

    def _judge_older(self, stamp: int, newest: int) -> Verdict:
        if self._late and stamp <= self._late[-1]:
            self._late = []
        self._late.append(stamp)
        if stamp >= newest - JUMP_BACK and len(self._late) < LATE_IN_A_ROW:
            return Verdict.LATE
        self._newest, self._slot, self._late = stamp, self.slot(stamp), []
        return Verdict.JUMPED_BACK


def evenly(count: int, most: int) -> list[int]:
    """Indices of at most ``most`` of ``count`` items, evenly, the first and the last among them."""
    if count <= most:
        return list(range(count))
    if most == 1:
        return [count - 1]
    return [int(i) for i in np.rint(np.linspace(0, count - 1, most))]
