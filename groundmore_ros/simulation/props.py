# SPDX-License-Identifier: Apache-2.0
"""Things that stand in a scene (ramps, shelves, containers, screens) and an arm that pushes.

Each takes a body that was kept from the other stories; where there is no room, the scene stays as
it was.
"""

from dataclasses import replace

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from groundmore_ros.simulation.stories import StoryTeller
from groundmore_ros.simulation.world import (
    ACTORS,
    FIELD_HALF,
    RGB,
    TABLE_HALF,
    Action,
    Block,
    Body,
    Prop,
)

__all__ = ["add_arm", "add_clutter", "add_prop"]

Array = NDArray[np.float64]
TRIES = 16
RAMP_LENGTH = 0.34  # m
RAMP_HALF_WIDTH = 0.075  # m
WALL = 0.008  # m, half the thickness of planks
CLEARANCE = 0.02  # m, kept free around props


def add_prop(rng: Generator, story: StoryTeller, rider: int) -> Prop | None:
    """Put up one prop and plan what the body that was kept for it does there."""
    build = (_ramp, _shelf, _container, _screen)[int(rng.choice(4, p=[0.35, 0.25, 0.25, 0.15]))]
    colour = _muted(rng)
    for _ in range(TRIES):
        prop = build(rng, story, rider, colour)
        if prop is not None:
            return prop
    return None


def add_arm(rng: Generator, story: StoryTeller, arm: int, prop: Prop | None) -> bool:
    """Turn the body that was kept into an arm that pushes another; false where it has no room.

    Args:
        rng: decides whom and how.
        story: what else happens.
        arm: the body that becomes the arm.
        prop: what stands there already and must not be in the way.
    """
    taken = {a.body for a in story.actions} | set(story.stacked) | {arm}
    targets = [k for k in range(len(story.bodies)) if k not in taken]
    for _ in range(TRIES if targets else 0):
        target = targets[int(rng.integers(len(targets)))]
        angle = rng.uniform(0, 2 * np.pi)
        direction = np.array([np.cos(angle), np.sin(angle)])
        gap = rng.uniform(0.16, 0.32)
        there = np.array(story.bodies[target].position[:2])
        start = there - direction * gap
        way = float(gap + rng.uniform(0.03, 0.15))
        end = start + direction * way
        if not _free(story, start, 0.07, but=(arm,)) or _in_the_way(prop, start, end):
            continue
        duration = float(rng.uniform(0.7, 1.3))
        time = float(rng.uniform(0.1, 0.6)) * story.duration
        story.bodies[arm] = _arm(story.bodies[arm], start, float(angle))
        vx, vy = direction * way / duration
        story.actions.append(Action("reach", arm, time, (float(vx), float(vy), 0.0), duration))
        return True
    return False


def _in_the_way(prop: Prop | None, start: Array, end: Array) -> bool:
    """Whether a prop stands within an arm's width of the line between two places."""
    line = start + np.linspace(0, 1, 8)[:, None] * (end - start)
    return any(
        bool((np.hypot(*(line - block.position[:2]).T) < np.hypot(*block.half[:2]) + 0.06).any())
        for block in (prop.blocks if prop else ())
    )


def add_clutter(rng: Generator) -> Prop:
    """Boxes behind the scene that nobody asks about."""
    blocks = []
    for _ in range(int(rng.integers(1, 4))):
        half = rng.uniform(0.05, 0.16, 3)
        x, y = rng.uniform(-0.8, 0.8), rng.uniform(0.62, 1.0)
        blocks.append(
            Block(
                (float(x), float(y + half[1]), float(half[2])),
                (float(half[0]), float(half[1]), float(half[2])),
                float(rng.uniform(-0.4, 0.4)),
            )
        )
    return Prop("clutter", tuple(blocks), _muted(rng))


def _arm(body: Body, start: Array, yaw: float) -> Body:
    height = ACTORS["arm"][2] + 0.004  # it hovers: nothing may hold it
    standing = replace(body, shape="arm", mass=6.0, friction=0.3, yaw=yaw, checkered=False)
    return standing.at(float(start[0]), float(start[1]), height)


def _muted(rng: Generator) -> RGB:
    r, g, b = np.clip(rng.uniform(0.2, 0.75) + rng.uniform(-0.08, 0.08, 3), 0, 1)
    return float(r), float(g), float(b)


def _free(story: StoryTeller, at: Array, radius: float, but: tuple[int, ...] = ()) -> bool:
    """Whether nothing stands within a radius of a place, and the place is in the scene."""
    limit = TABLE_HALF if story.table else (FIELD_HALF[0] + 0.15, FIELD_HALF[1] + 0.2)
    if abs(at[0]) > limit[0] - radius or abs(at[1]) > limit[1] - radius:
        return False
    return all(
        np.hypot(*(at - body.position[:2])) > body.radius + radius + CLEARANCE
        for k, body in enumerate(story.bodies)
        if k not in but
    )


def _ramp(rng: Generator, story: StoryTeller, rider: int, colour: RGB) -> Prop | None:
    """A plank that a body comes down, let go at some time."""
    tilt = float(rng.uniform(np.deg2rad(20), np.deg2rad(32)))
    yaw = float(rng.uniform(0, 2 * np.pi))
    along = np.array([np.cos(yaw), np.sin(yaw)])  # downhill
    foot = np.array(
        [
            rng.uniform(-FIELD_HALF[0], FIELD_HALF[0]),
            rng.uniform(-FIELD_HALF[1], FIELD_HALF[1]),
        ]
    )
    run, rise = RAMP_LENGTH * np.cos(tilt), RAMP_LENGTH * np.sin(tilt)
    places = [foot - along * run * part for part in (0.15, 0.5, 0.85)]
    if not all(_free(story, p, 0.09, but=(rider,)) for p in places):
        return None
    middle = foot - along * run / 2
    # The plank's top side is its surface.
    sink = WALL / np.cos(tilt)
    plank = Block(
        (float(middle[0]), float(middle[1]), float(rise / 2 - sink)),
        (RAMP_LENGTH / 2, RAMP_HALF_WIDTH, WALL),
        yaw,
        tilt,
    )
    top = foot - along * run
    post = Block(
        (float(top[0]), float(top[1]), float(rise / 2 - sink)),
        (WALL, RAMP_HALF_WIDTH, float(rise / 2 - sink)),
        yaw,
    )
    body = story.bodies[rider]
    up = 0.82 * RAMP_LENGTH
    lift = body.half_extents[2] + 0.004
    place = foot - along * (up * np.cos(tilt) - lift * np.sin(tilt))
    height = up * np.sin(tilt) + lift * np.cos(tilt)
    standing = replace(body, yaw=yaw, tilt=tilt, friction=min(body.friction, 0.12))
    story.bodies[rider] = standing.at(float(place[0]), float(place[1]), float(height))
    story.actions.append(Action("drop", rider, float(rng.uniform(0.05, 0.6)) * story.duration))
    return Prop("ramp", (plank, post), colour, rider)


def _shelf(rng: Generator, story: StoryTeller, rider: int, colour: RGB) -> Prop | None:
    """A block whose edge a body is pushed over."""
    body = story.bodies[rider]
    half = (float(rng.uniform(0.09, 0.13)), float(rng.uniform(0.09, 0.13)))
    height = float(rng.uniform(0.06, 0.14))
    place = np.array([rng.uniform(-0.38, 0.38), rng.uniform(-0.1, FIELD_HALF[1])])
    if not _free(story, place, float(np.hypot(*half)), but=(rider,)):
        return None
    block = Block((float(place[0]), float(place[1]), height / 2), (*half, height / 2))
    z = height + body.half_extents[2]
    story.bodies[rider] = body.at(float(place[0]), float(place[1]), float(z))
    # Toward the camera or to a side: what falls behind a shelf is hardly seen.
    angle = float(rng.uniform(-1.15 * np.pi, 0.15 * np.pi))
    speed = float(np.sqrt(2 * 9.81 * body.friction * 0.2 + rng.uniform(0.4, 0.8) ** 2))
    time = float(rng.uniform(0.05, 0.6)) * story.duration
    velocity = (float(np.cos(angle) * speed), float(np.sin(angle) * speed), 0.0)
    story.actions.append(Action("push", rider, time, velocity))
    return Prop("shelf", (block,), colour, rider)


def _container(rng: Generator, story: StoryTeller, rider: int, colour: RGB) -> Prop | None:
    """An open box, into which a body may be thrown."""
    inner, wall = float(rng.uniform(0.10, 0.13)), 0.006
    height = float(rng.uniform(0.025, 0.045))
    place = np.array([rng.uniform(-0.38, 0.38), rng.uniform(-0.15, FIELD_HALF[1])])
    if not _free(story, place, 1.3 * inner):
        return None
    x, y = (float(v) for v in place)
    sides = [
        ((x - inner - wall, y), (wall, inner + 2 * wall)),
        ((x + inner + wall, y), (wall, inner + 2 * wall)),
        ((x, y - inner - wall), (inner, wall)),
        ((x, y + inner + wall), (inner, wall)),
    ]
    blocks = tuple(Block((*at, height), (*half, height)) for at, half in sides)
    body = story.bodies[rider]
    way = place - np.array(body.position[:2])
    if rng.random() < 0.8 and body.radius < inner and np.hypot(*way) > 1.5 * inner:
        flight = float(rng.uniform(0.5, 0.62))  # s; up to its highest point and down again
        vx, vy = (float(v) for v in way / flight)
        time = float(rng.uniform(0.05, 0.6)) * story.duration
        story.actions.append(Action("throw", rider, time, (vx, vy, 9.81 * flight / 2)))
    return Prop("container", blocks, colour, centre=(x, y), reach=inner)


def _screen(rng: Generator, story: StoryTeller, rider: int, colour: RGB) -> Prop | None:
    """A board that hides what is behind it."""
    half = float(rng.uniform(0.08, 0.15))
    place = np.array([rng.uniform(-0.3, 0.3), rng.uniform(-FIELD_HALF[1], 0.05)])
    ends = [place + np.array([part * half, 0.0]) for part in (-0.8, 0.0, 0.8)]
    if not all(_free(story, end, 0.03) for end in ends):
        return None
    del rider  # it stands where it stood
    height = float(rng.uniform(0.04, 0.09))
    at = (float(place[0]), float(place[1]), height)
    return Prop("screen", (Block(at, (half, WALL, height), float(rng.uniform(-0.4, 0.4))),), colour)
