# SPDX-License-Identifier: Apache-2.0
"""What moved, when, how and why: facts read off a simulated trajectory and its contact record.

Whatever lies between a clear yes and a clear no is reported as ambiguous, so that questions about
it can be dropped.
"""

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from groundmore_ros.simulation.physics import SAMPLE_RATE, Contact, Trajectory
from groundmore_ros.simulation.world import ROUND_SHAPES, Scene

__all__ = ["Clarity", "Motion", "Segment", "analyse", "mobility", "uprightness"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

START_SPEED = 0.08  # m/s, above which a motion begins
STOP_SPEED = 0.04  # m/s, below which it ends
MERGE_GAP = 0.25  # s, shorter rests do not end a motion
MOVED_DISTANCE, MOVED_SPEED = 0.05, 0.12  # m, m/s: at least this is "moved"
STILL_DISTANCE, STILL_TURN = 0.015, np.deg2rad(12)  # at most this is "still"
SEEN_AREA = 12  # pixels at 160 x 120, above which an object counts as seen
CAUSE_BEFORE, CAUSE_AFTER = 0.15, 0.05  # s, a cause touches within this of the motion's start
SUPPORT_BEFORE = 0.3  # s, a support that moved away did so within this before


class Clarity(Enum):
    """Whether something is so."""

    YES = "yes"
    NO = "no"
    UNCLEAR = "unclear"


@dataclass(frozen=True)
class Segment:
    """One uninterrupted motion of a body."""

    start: float  # s
    end: float  # s
    peak: float  # m/s


@dataclass(frozen=True)
class Motion:
    """Facts about every body k of K over S samples and T frames.

    Attributes:
        moved: whether each body moved.
        segments: each body's motions, by time; empty for one that did not move.
        peak_speed: (K,) m/s.
        path: (K,) length of the way, m.
        shift: (K, 3) last less first position, m (x: right, y: away, z: up).
        rise: (K,) highest above the first position, m.
        drop: (K,) height lost between the highest and the last position, m.
        tilt: (K,) largest angle between the body's upright axis and the vertical, rad.
        seen: (T, K) whether enough of it is visible.
        image_path: (K,) length of the way of its mask's centre, pixels.
        leaves, enters: (K,) whether it goes out of, or comes into, the picture.
        causes: for each body, what set off its first motion: a body, itself (its own index), or
            None where that is unclear or it never moved.
    """

    moved: list[Clarity]
    segments: list[list[Segment]]
    peak_speed: Floats
    path: Floats
    shift: Floats
    rise: Floats
    drop: Floats
    tilt: Floats
    seen: Bools
    image_path: Floats
    leaves: Bools
    enters: Bools
    causes: list[int | None]


def analyse(trajectory: Trajectory, scene: Scene, masks: NDArray[np.uint8]) -> Motion:
    """Read the facts off a trajectory and the masks (T, H, W) rendered from it."""
    positions = trajectory.positions
    moved = mobility(trajectory, scene)
    speed = _speeds(trajectory, scene)
    segments = [
        _segments(trajectory.times, speed[:, k]) if moved[k] is Clarity.YES else []
        for k in range(len(scene.bodies))
    ]
    moved = [
        Clarity.UNCLEAR if m is Clarity.YES and not s else m
        for m, s in zip(moved, segments, strict=True)
    ]
    highest = positions[:, :, 2].max(axis=0)
    seen, image_path, leaves, enters = _picture_facts(masks, len(scene.bodies))
    return Motion(
        moved=moved,
        segments=segments,
        peak_speed=speed.max(axis=0),
        path=np.linalg.norm(np.diff(positions, axis=0), axis=2).sum(axis=0),
        shift=positions[-1] - positions[0],
        rise=highest - positions[0, :, 2],
        drop=highest - positions[-1, :, 2],
        tilt=_tilts(trajectory),
        seen=seen,
        image_path=image_path,
        leaves=leaves,
        enters=enters,
        causes=[_cause(k, segments, speed, trajectory, scene) for k in range(len(scene.bodies))],
    )


def mobility(trajectory: Trajectory, scene: Scene) -> list[Clarity]:
    """Whether each body clearly moved, clearly stayed, or neither."""
    away = np.linalg.norm(trajectory.positions - trajectory.positions[:1], axis=2).max(axis=0)
    speed = _speeds(trajectory, scene).max(axis=0)
    turned = _turns(trajectory)
    out = []
    for k, body in enumerate(scene.bodies):
        turn = 0.0 if body.shape in ROUND_SHAPES and away[k] < STILL_DISTANCE else turned[k]
        if away[k] >= MOVED_DISTANCE and speed[k] >= MOVED_SPEED:
            out.append(Clarity.YES)
        elif away[k] <= STILL_DISTANCE and turn <= STILL_TURN:
            out.append(Clarity.NO)
        else:
            out.append(Clarity.UNCLEAR)
    return out


def _turns(trajectory: Trajectory) -> Floats:
    """Largest rotation from the first pose, rad (K,)."""
    dots = np.abs((trajectory.rotations * trajectory.rotations[:1]).sum(axis=2))
    return np.asarray(2 * np.arccos(np.clip(dots, 0, 1)).max(axis=0))


def _tilts(trajectory: Trajectory) -> Floats:
    """Largest angle of the body's z axis from upright, rad (K,)."""
    return np.asarray(np.arccos(uprightness(trajectory)).max(axis=0))


def uprightness(trajectory: Trajectory) -> Floats:
    """Cosine of the angle between each body's z axis and the vertical (S, K)."""
    _, x, y, _ = np.moveaxis(trajectory.rotations, 2, 0)
    return np.asarray(np.clip(1 - 2 * (x * x + y * y), -1, 1))


def _speeds(trajectory: Trajectory, scene: Scene) -> Floats:
    """Speed of the surface of each body, m/s (S, K): its centre's, plus what turning adds."""
    velocity = np.gradient(trajectory.positions, 1 / SAMPLE_RATE, axis=0)
    speed = np.linalg.norm(velocity, axis=2)
    dots = np.abs((trajectory.rotations[1:] * trajectory.rotations[:-1]).sum(axis=2))
    turning = 2 * np.arccos(np.clip(dots, 0, 1)) * SAMPLE_RATE  # rad/s, (S - 1, K)
    turning[turning < 0.2] = 0  # rounding of near-unit quaternions
    lever = np.array([0.0 if b.shape in ROUND_SHAPES else 0.5 * b.size for b in scene.bodies])
    speed[1:] += turning * lever
    return np.asarray(speed)


def _segments(times: Floats, speed: Floats) -> list[Segment]:
    """Motions by hysteresis: from above START_SPEED until below STOP_SPEED, short rests bridged."""
    runs: list[list[int]] = []
    moving = False
    for i, v in enumerate(speed):
        if not moving and v > START_SPEED:
            moving = True
            if runs and times[i] - times[runs[-1][1]] < MERGE_GAP:
                runs[-1][1] = i
            else:
                runs.append([i, i])
        elif moving and v < STOP_SPEED:
            moving = False
        if moving:
            runs[-1][1] = i
    found = [
        Segment(float(times[a]), float(times[b]), float(speed[a : b + 1].max())) for a, b in runs
    ]
    return [s for s in found if s.peak >= MOVED_SPEED]


def _picture_facts(masks: NDArray[np.uint8], count: int) -> tuple[Bools, Floats, Bools, Bools]:
    frames, height, width = masks.shape
    least = max(3.0, SEEN_AREA * (height * width) / (160 * 120))
    rows, columns = np.mgrid[:height, :width]
    area = np.zeros((frames, count))
    centre = np.full((frames, count, 2), np.nan)
    border = np.zeros((frames, count), bool)
    edge = np.ones((height, width), bool)
    edge[2:-2, 2:-2] = False
    for t in range(frames):
        flat = masks[t].reshape(-1)
        area[t] = np.bincount(flat, minlength=count + 1)[1 : count + 1]
        x = np.bincount(flat, columns.reshape(-1), count + 1)[1 : count + 1]
        y = np.bincount(flat, rows.reshape(-1), count + 1)[1 : count + 1]
        there = area[t] > 0
        centre[t, there] = np.stack([x, y], axis=1)[there] / area[t, there, None]
        border[t] = np.bincount(masks[t][edge], minlength=count + 1)[1 : count + 1] > 0
    steps = np.linalg.norm(np.diff(centre, axis=0), axis=2)
    seen = area >= least
    first, last = seen.argmax(axis=0), frames - 1 - seen[::-1].argmax(axis=0)
    k = np.arange(count)
    ever = seen.any(axis=0)
    leaves = ever & (last < frames - 2) & border[np.minimum(last + 1, frames - 1), k]
    leaves |= ever & (last < frames - 2) & border[last, k]
    enters = ever & (first > 1) & (border[first, k] | border[np.maximum(first - 1, 0), k])
    return seen, np.nansum(steps, axis=0), leaves & (area[-1] == 0), enters


def _cause(
    body: int, segments: list[list[Segment]], speed: Floats, trajectory: Trajectory, scene: Scene
) -> int | None:
    if not segments[body]:
        return None
    start = segments[body][0].start
    by_itself = any(a.body == body and abs(a.time - start) < 0.12 for a in scene.actions)
    touching = {
        c.second if c.first == body else c.first
        for c in trajectory.contacts
        if body in (c.first, c.second) and _sets_off(c, body, start, segments, speed)
    }
    if by_itself:
        return body if not touching else None
    clear = len(touching) == 1 and all(segments[k] for k in touching)
    return touching.pop() if clear else None


def _sets_off(
    contact: Contact, body: int, start: float, segments: list[list[Segment]], speed: Floats
) -> bool:
    """Whether a touch explains a motion: a moving body arrives, or the support moves away."""
    other = contact.second if contact.first == body else contact.first
    if start - CAUSE_BEFORE <= contact.start <= start + CAUSE_AFTER:
        sample = max(0, int(contact.start * SAMPLE_RATE) - 1)
        return bool(speed[max(0, sample - 2) : sample + 1, other].max() > START_SPEED)
    began = [s.start for s in segments[other] if start - SUPPORT_BEFORE <= s.start <= start + 0.03]
    return bool(began) and contact.start < start <= contact.end + 0.1
