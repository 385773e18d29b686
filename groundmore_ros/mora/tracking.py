# SPDX-License-Identifier: Apache-2.0
"""Tracks from the objects of single frames: one assignment problem a frame.

Cost of a match: unlikeness of the identities, plus how far the box lies from where the track's
motion would have taken it.
"""

import copy
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from groundmore_ros.mora.objects import FrameObjects

__all__ = ["Linker", "LiveTrack", "Tracks", "link"]

NEW_SCORE = 0.3  # an object this certain starts a track
KEEP_SCORE = 0.15  # one less certain is not even matched
WORST_MATCH = 1.3  # cost above which a match is refused
PLACE_WEIGHT = 3.0  # cost of being off by the picture's side
FORGET = 50  # frames after which a live track that was not seen is let go
FADING = 0.5  # how fast a track's identity follows its newest look


class Tracks(NamedTuple):
    """Up to K objects followed through T frames; absent frames hold the last known state.

    Attributes:
        queries: (K, T, D).
        boxes: (K, T, 4) as in :class:`FrameObjects`.
        scores: (K, T), 0 where absent.
        present: (K, T) bool.
        valid: (K,) bool, which tracks there are.
    """

    queries: Tensor
    boxes: Tensor
    scores: Tensor
    present: Tensor
    valid: Tensor


class _Track:
    def __init__(
        self, frame: int, found: int, score: float, identity: NDArray, box: NDArray
    ) -> None:
        self.found = {frame: found}
        self.sureness = score  # summed over its frames
        self.identity = identity
        self.box = box
        self.velocity = np.zeros(2)
        self.last = frame

    def cost(self, frame: int, identities: NDArray, boxes: NDArray) -> NDArray:
        gap = frame - self.last
        expected = self.box[:2] + self.velocity * min(gap, 2)
        off = np.minimum(
            np.linalg.norm(boxes[:, :2] - expected, axis=1),
            np.linalg.norm(boxes[:, :2] - self.box[:2], axis=1),
        )
        return np.asarray(1 - identities @ self.identity + PLACE_WEIGHT * off)

    def extend(self, frame: int, found: int, identity: NDArray, box: NDArray) -> None:
        self.velocity = (box[:2] - self.box[:2]) / (frame - self.last)
        blend = (1 - FADING) * self.identity + FADING * identity
        self.identity = blend / max(float(np.linalg.norm(blend)), 1e-6)
        self.found[frame], self.box, self.last = found, box, frame


class Linker:
    """Follows objects from frame to frame, for as long as frames come."""

    def __init__(self) -> None:
        self._tracks: list[_Track] = []
        self._seen = 0

    def add(self, frame: FrameObjects) -> None:
        """Find the tracks' objects among those of the next frame, unbatched: (K, ...)."""
        scores = frame.scores.float().cpu().numpy()
        keep = np.flatnonzero(scores >= KEEP_SCORE)
        identities = frame.identities.float().cpu().numpy()[keep]
        boxes = frame.boxes.float().cpu().numpy()[keep]
        t, self._seen = self._seen, self._seen + 1
        taken = _match(self._tracks, t, keep, identities, boxes)
        for i, found in enumerate(keep):
            if i not in taken and scores[found] >= NEW_SCORE:
                self._tracks.append(
                    _Track(t, int(found), float(scores[found]), identities[i], boxes[i])
                )
            elif i in taken:
                taken[i].sureness += float(scores[found])

    def rank(self) -> None:
        """Put the longest and surest tracks first; until now they stand as they began."""
        self._tracks.sort(key=lambda track: -track.sureness)

    def keep(self, track: int) -> "LiveTrack":
        """Go on with one track and those that vie with it, without memory of the past."""
        return LiveTrack(self._tracks, track, self._seen)

    def gather(self, frames: list[FrameObjects], most: int) -> Tracks:
        """The first tracks through the frames that were added."""
        return _gather(frames, self._tracks[:most], most)


class LiveTrack(Linker):
    """One track in frames that never end: what is long gone is let go."""

    def __init__(self, tracks: list[_Track], kept: int, seen: int) -> None:
        super().__init__()
        self._tracks = copy.deepcopy(tracks)
        self._kept, self._seen = self._tracks[kept], seen

    def see(self, frame: FrameObjects) -> int | None:
        """Which of the next frame's objects the track is, or None where it is not there."""
        self.add(frame)
        now = self._seen - 1
        self._tracks = [k for k in self._tracks if k is self._kept or now - k.last <= FORGET]
        for track in self._tracks:
            track.found = {track.last: track.found[track.last]}
        return self._kept.found.get(now)


def link(frames: list[FrameObjects], most: int) -> tuple[Tracks, Linker]:
    """Follow objects through frames.

    Args:
        frames: T of them, each unbatched: (K, ...).
        most: tracks kept, the longest and surest first.

    Returns:
        the tracks, and what follows them further.
    """
    linker = Linker()
    for frame in frames:
        linker.add(frame)
    linker.rank()
    return linker.gather(frames, most), linker


def _match(
    tracks: list[_Track], t: int, keep: NDArray, identities: NDArray, boxes: NDArray
) -> dict[int, _Track]:
    """Extend tracks by what was found; tells which by which."""
    if not tracks or not len(keep):
        return {}
    cost = np.stack([track.cost(t, identities, boxes) for track in tracks])
    taken: dict[int, _Track] = {}
    for row, column in zip(*linear_sum_assignment(cost), strict=True):
        if cost[row, column] <= WORST_MATCH:
            tracks[row].extend(t, int(keep[column]), identities[column], boxes[column])
            taken[int(column)] = tracks[row]
    return taken


def _gather(frames: list[FrameObjects], tracks: list[_Track], most: int) -> Tracks:
    steps = len(frames)
    source = torch.zeros(most, steps, 2, dtype=torch.long)  # frame and index that a state is from
    present = torch.zeros(most, steps, dtype=torch.bool)
    for k, track in enumerate(tracks):
        state = next(iter(track.found.items()))
        for t in range(steps):
            if t in track.found:
                state = (t, track.found[t])
                present[k, t] = True
            source[k, t] = torch.tensor(state)
    valid = torch.arange(most) < len(tracks)
    device = frames[0].queries.device
    at, which = source.to(device).unbind(-1)
    present, valid = present.to(device), valid.to(device)

    def pick(values: list[Tensor]) -> Tensor:
        return torch.stack(values)[at, which]

    return Tracks(
        queries=pick([f.queries for f in frames]) * valid[:, None, None],
        boxes=pick([f.boxes for f in frames]) * valid[:, None, None],
        scores=pick([f.scores for f in frames]) * present,
        present=present,
        valid=valid,
    )
