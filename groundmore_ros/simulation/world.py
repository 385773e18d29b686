# SPDX-License-Identifier: Apache-2.0
"""Random scenes: bodies, surfaces, camera, light, and the actions that set bodies in motion.

World frame: x and y horizontal, z up, metres; the surface that objects stand on is z = 0. Scenes
are laid out in the camera's ground frame (x to the camera's right, y away from it) and the world
axes are that frame, so "left" is -x in the first frame.
"""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from groundmore_ros.simulation.settings import EpisodeSettings

__all__ = ["COLOURS", "SHAPES", "Action", "Body", "Camera", "Light", "Scene", "sample_scene"]

Array = NDArray[np.float64]
ActionKind = Literal["push", "drop", "throw", "topple"]

COLOURS: dict[str, tuple[float, float, float]] = {
    "red": (0.84, 0.10, 0.10),
    "green": (0.12, 0.62, 0.16),
    "blue": (0.12, 0.25, 0.85),
    "yellow": (0.93, 0.86, 0.12),
    "purple": (0.52, 0.14, 0.68),
    "orange": (0.96, 0.50, 0.08),
    "cyan": (0.15, 0.80, 0.85),
    "white": (0.93, 0.93, 0.93),
    "pink": (0.98, 0.52, 0.72),
}
# Half extents (x, y, z) of each shape for a body of unit size.
SHAPES: dict[str, tuple[float, float, float]] = {
    "ball": (1.0, 1.0, 1.0),
    "cube": (0.9, 0.9, 0.9),
    "cylinder": (0.8, 0.8, 1.0),
    "pillar": (0.5, 0.5, 1.9),
    "disc": (1.25, 1.25, 0.35),
    "brick": (1.6, 0.75, 0.6),
}
ROUND_SHAPES = frozenset({"ball", "cylinder", "disc"})
TABLE_HALF = (0.55, 0.42)  # m, half width and half depth of the table top
TABLE_HEIGHT = 0.35  # m, table top above the floor
FIELD_HALF = (0.40, 0.28)  # m, where bodies at rest are placed


@dataclass(frozen=True)
class Body:
    """One movable object: looks, mass and initial pose."""

    shape: str
    colour: str
    rgb: tuple[float, float, float]
    size: float  # m
    mass: float  # kg
    friction: float
    position: tuple[float, float, float]  # m, centre
    yaw: float  # rad
    checkered: bool
    shininess: float

    @property
    def half_extents(self) -> tuple[float, float, float]:
        """Half extents along the body's axes, m."""
        x, y, z = SHAPES[self.shape]
        return (x * self.size, y * self.size, z * self.size)

    @property
    def radius(self) -> float:
        """Horizontal radius that encloses the body, m."""
        x, y, _ = self.half_extents
        return max(x, y) if self.shape in ROUND_SHAPES else float(np.hypot(x, y))


@dataclass(frozen=True)
class Action:
    """Something that sets a body in motion by itself, at a time."""

    kind: ActionKind
    body: int
    time: float  # s, from the first frame
    velocity: tuple[float, float, float] = (0.0, 0.0, 0.0)  # m/s, world frame


@dataclass(frozen=True)
class Camera:
    """An orbiting camera that may drift: each value is (at the start, at the end)."""

    azimuth: tuple[float, float]  # deg, 90 looks along +y
    elevation: tuple[float, float]  # deg, negative looks down
    distance: tuple[float, float]  # m
    target: tuple[tuple[float, float, float], tuple[float, float, float]]  # m
    fovy: float = 40.0  # deg

    @property
    def moving(self) -> bool:
        """Whether the view changes during the episode."""
        return self.azimuth[0] != self.azimuth[1]


@dataclass(frozen=True)
class Light:
    """One lamp and the ambient light."""

    position: tuple[float, float, float]
    diffuse: float
    ambient: float
    shadow: bool


@dataclass
class Scene:
    """Everything an episode is simulated and rendered from."""

    bodies: list[Body]
    actions: list[Action]
    table: bool
    surface_rgb: tuple[tuple[float, float, float], tuple[float, float, float]]
    surface_pattern: str
    floor_rgb: tuple[float, float, float]
    camera: Camera
    light: Light
    noise: float  # standard deviation of the sensor's noise, grey levels
    stacked: dict[int, int] = field(default_factory=dict)  # body -> the body it stands on


def sample_scene(rng: Generator, settings: EpisodeSettings) -> Scene:
    """Draw a scene; the same generator state gives the same scene."""
    count = int(rng.integers(settings.min_objects, settings.max_objects + 1))
    table = bool(rng.random() < settings.table_share)
    looks = _sample_looks(rng, count, settings.shared_colour_share)
    bodies: list[Body] = []
    for shape, colour in looks:
        bodies.append(_sample_body(rng, shape, colour, bodies))
    builder = _ActionBuilder(rng, bodies, settings.duration, table)
    builder.build()
    return Scene(
        bodies=builder.bodies,
        actions=builder.actions,
        table=table,
        surface_rgb=_surface_colours(rng),
        surface_pattern=str(rng.choice(["flat", "checker", "gradient"])),
        floor_rgb=_muted(rng),
        camera=_sample_camera(rng, settings),
        light=Light(
            position=(*_pair(rng, 1.0), float(rng.uniform(1.6, 2.6))),
            diffuse=float(rng.uniform(0.45, 0.75)),
            ambient=float(rng.uniform(0.25, 0.45)),
            shadow=bool(rng.random() < settings.shadow_share),
        ),
        noise=float(rng.uniform(0.0, 4.0)),
        stacked=builder.stacked,
    )


def _pair(rng: Generator, half: float) -> tuple[float, float]:
    x, y = rng.uniform(-half, half, 2)
    return float(x), float(y)


def _muted(rng: Generator) -> tuple[float, float, float]:
    grey = rng.uniform(0.2, 0.7)
    r, g, b = np.clip(grey + rng.uniform(-0.08, 0.08, 3), 0, 1)
    return float(r), float(g), float(b)


def _surface_colours(
    rng: Generator,
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    first = _muted(rng)
    shade = rng.uniform(0.7, 0.95)
    return first, (first[0] * shade, first[1] * shade, first[2] * shade)


def _sample_looks(rng: Generator, count: int, shared: float) -> list[tuple[str, str]]:
    """Shapes and colours; no two bodies share both."""
    shapes = list(SHAPES)
    colours = [str(c) for c in rng.permutation(list(COLOURS))]
    looks = [(str(rng.choice(shapes)), colours[k]) for k in range(count)]
    if rng.random() < shared:
        first, second = (int(k) for k in rng.choice(count, 2, replace=False))
        others = [s for s in shapes if s != looks[first][0]]
        looks[second] = (str(rng.choice(others)), looks[first][1])
    return looks


def _sample_body(rng: Generator, shape: str, colour: str, placed: list[Body]) -> Body:
    size = float(rng.uniform(0.048, 0.075))
    rgb = np.clip(
        np.array(COLOURS[colour]) * rng.uniform(0.9, 1.08) + rng.normal(0, 0.015, 3), 0, 1
    )
    half = SHAPES[shape][2] * size
    body = Body(
        shape=shape,
        colour=colour,
        rgb=(float(rgb[0]), float(rgb[1]), float(rgb[2])),
        size=size,
        mass=float(np.exp(rng.uniform(np.log(0.12), np.log(0.4)))),
        friction=float(rng.uniform(0.04, 0.15)),
        position=(0.0, 0.0, half),
        yaw=float(rng.uniform(0, 2 * np.pi)),
        checkered=bool(rng.random() < 0.2),
        shininess=float(rng.uniform(0.0, 0.8)),
    )
    return _place(rng, body, placed)


def _place(rng: Generator, body: Body, placed: list[Body]) -> Body:
    """Put a body where it has most room among a few random places."""
    best, room = body, -np.inf
    for _ in range(12):
        x = float(rng.uniform(-FIELD_HALF[0], FIELD_HALF[0]))
        y = float(rng.uniform(-FIELD_HALF[1], FIELD_HALF[1]))
        gap = min(
            (
                np.hypot(x - p.position[0], y - p.position[1]) - p.radius - body.radius
                for p in placed
            ),
            default=1.0,
        )
        if gap > room:
            best, room = _moved(body, x, y, body.position[2]), gap
        if gap > 0.08:
            break
    return best


def _moved(body: Body, x: float, y: float, z: float) -> Body:
    return Body(**{**body.__dict__, "position": (float(x), float(y), float(z))})


class _ActionBuilder:
    """Draws what happens: strikes, slides, drops, throws, falls, stacks, entrances."""

    def __init__(self, rng: Generator, bodies: list[Body], duration: float, table: bool) -> None:
        self.rng = rng
        self.bodies = bodies
        self.duration = duration
        self.table = table
        self.actions: list[Action] = []
        self.stacked: dict[int, int] = {}
        self.free = [int(k) for k in rng.permutation(len(bodies))]
        self.moved: set[int] = set()

    def build(self) -> None:
        """Draw two to four stories and their times."""
        rng = self.rng
        count = len(self.bodies)
        low = 1 if count == 3 else 2
        stories = int(rng.integers(low, max(low + 1, min(4, count - 1) + 1)))
        slots = np.linspace(0.15, 0.62 * self.duration, stories)
        times = rng.permutation(slots + rng.uniform(-0.1, 0.1, stories))
        # A strike comes first in most episodes: causes and counterfactuals need contacts.
        kinds = ["strike"] if rng.random() < 0.85 else []
        menu = ["strike", "slide", "drop", "throw", "topple", "stack", "enter"]
        weights = [0.42, 0.13, 0.11, 0.07, 0.09, 0.12, 0.06]
        while len(kinds) < stories:
            kinds.append(str(rng.choice(menu, p=weights)))
        for kind, time in zip(kinds, times, strict=True):
            getattr(self, f"_{kind}")(max(0.05, float(time)))

    def _take(self, wanted: tuple[str, ...] = ()) -> int | None:
        """An unused body, of a wanted shape if there is one."""
        for k in self.free:
            if not wanted or self.bodies[k].shape in wanted:
                self.free.remove(k)
                self.moved.add(k)
                return k
        return None

    def _direction(self, body: int, target: int) -> Array:
        a, b = self.bodies[body].position, self.bodies[target].position
        step = np.array([b[0] - a[0], b[1] - a[1]])
        return step / max(float(np.hypot(*step)), 1e-6)

    def _push(self, body: int, time: float, direction: Array, speed: float, up: float = 0) -> None:
        velocity = (float(direction[0] * speed), float(direction[1] * speed), up)
        self.actions.append(Action("throw" if up else "push", body, time, velocity))

    def _speed_to_reach(self, body: int, distance: float) -> float:
        """A speed at which a sliding body still moves well after this distance, m/s."""
        b = self.bodies[body]
        loss = 0.1 if b.shape == "ball" else 2 * 9.81 * b.friction * distance
        return float(np.sqrt(loss + self.rng.uniform(0.55, 1.1) ** 2))

    def _nearest(self, body: int) -> int | None:
        """The unmoved body that a push along the ground reaches first, or nothing."""
        here = np.array(self.bodies[body].position[:2])
        others = [k for k in self.free if k not in self.stacked]
        if not others:
            return None
        gaps = [float(np.hypot(*(np.array(self.bodies[k].position[:2]) - here))) for k in others]
        return others[int(np.argmin(gaps))]

    def _strike(self, time: float) -> None:
        body = self._take()
        target = None if body is None else self._nearest(body)
        if body is None or target is None:
            return
        self.free.remove(target)  # kept for being struck
        direction = self._direction(body, target)
        gap = float(
            np.hypot(*(np.array(self.bodies[target].position) - self.bodies[body].position)[:2])
        )
        reach = max(0.0, gap - self.bodies[target].radius - self.bodies[body].radius)
        self._push(body, time, direction, self._speed_to_reach(body, reach))
        if self.free and self.rng.random() < 0.35:  # a third body behind the second: a chain
            third = self.free.pop(0)
            far = self.bodies[target].radius + self.bodies[third].radius + 0.04
            x, y = np.array(self.bodies[target].position[:2]) + direction * far
            if self._clear(third, float(x), float(y)):
                self.bodies[third] = _moved(
                    self.bodies[third], x, y, self.bodies[third].position[2]
                )
            else:
                self.free.append(third)

    def _clear(self, body: int, x: float, y: float) -> bool:
        if abs(x) > FIELD_HALF[0] + 0.08 or abs(y) > FIELD_HALF[1] + 0.08:
            return False
        return all(
            np.hypot(x - b.position[0], y - b.position[1]) > b.radius + self.bodies[body].radius
            for k, b in enumerate(self.bodies)
            if k != body
        )

    def _slide(self, time: float) -> None:
        body = self._take()
        if body is not None:
            angle = self.rng.uniform(0, 2 * np.pi)
            direction = np.array([np.cos(angle), np.sin(angle)])
            self._push(body, time, direction, float(self.rng.uniform(0.35, 0.9)))

    def _drop(self, time: float) -> None:
        body = self._take()
        if body is not None:
            x, y, z = self.bodies[body].position
            height = z + float(self.rng.uniform(0.15, 0.32))
            self.bodies[body] = _moved(self.bodies[body], x, y, height)
            self.actions.append(Action("drop", body, time))

    def _throw(self, time: float) -> None:
        body = self._take()
        if body is not None:
            angle = self.rng.uniform(0, 2 * np.pi)
            direction = np.array([np.cos(angle), np.sin(angle)])
            self._push(
                body,
                time,
                direction,
                float(self.rng.uniform(0.2, 0.6)),
                up=float(self.rng.uniform(1.4, 2.2)),
            )

    def _topple(self, time: float) -> None:
        body = self._take(("pillar",))
        if body is None:
            self._slide(time)
            return
        angle = self.rng.uniform(0, 2 * np.pi)
        push = self.rng.uniform(0.9, 1.4)
        velocity = (float(np.cos(angle) * push), float(np.sin(angle) * push), 0.0)
        self.actions.append(Action("topple", body, time, velocity))

    def _stack(self, time: float) -> None:
        base = self._take(("cube", "brick", "cylinder", "disc"))
        rider = None if base is None else self._take()
        if base is None or rider is None or self.bodies[rider].shape == "ball":
            self._slide(time)
            return
        below, above = self.bodies[base], self.bodies[rider]
        top = below.half_extents[2] * 2 + above.half_extents[2]
        self.bodies[rider] = _moved(above, below.position[0], below.position[1], top)
        self.stacked[rider] = base
        mover = base if self.rng.random() < 0.65 else rider
        self.moved.discard(rider if mover == base else base)
        angle = self.rng.uniform(0, 2 * np.pi)
        direction = np.array([np.cos(angle), np.sin(angle)])
        self._push(mover, time, direction, float(self.rng.uniform(0.6, 1.2)))

    def _enter(self, time: float) -> None:
        body = self._take(("ball", "disc", "cube"))
        if body is None or self.table:
            if body is not None:
                self.free.append(body)
            self._slide(time)
            return
        side = float(self.rng.choice([-1.0, 1.0]))
        y = float(self.rng.uniform(-0.15, 0.2))
        shape = self.bodies[body]
        self.bodies[body] = _moved(shape, side * 0.85, y, shape.position[2])
        aim = np.array([-side * 0.1, float(self.rng.uniform(-0.2, 0.2))])
        direction = aim - np.array([side * 0.85, y])
        direction /= np.hypot(*direction)
        speed = self._speed_to_reach(body, 0.55)
        self._push(body, time, direction, min(speed, 2.6))


def _sample_camera(rng: Generator, settings: EpisodeSettings) -> Camera:
    azimuth = 90.0 + float(rng.uniform(-8, 8))
    elevation = float(rng.uniform(-52, -26))
    distance = float(rng.uniform(1.0, 1.3))
    x, y = (float(v) for v in rng.uniform(-0.05, 0.05, 2))
    start = (x, y, 0.03)
    if rng.random() >= settings.moving_camera_share:
        return Camera((azimuth,) * 2, (elevation,) * 2, (distance,) * 2, (start, start))
    drift = float(rng.choice([-1, 1]) * rng.uniform(4, 16))
    end = (x + float(rng.uniform(-0.12, 0.12)), y + float(rng.uniform(-0.08, 0.08)), 0.03)
    return Camera(
        (azimuth, azimuth + drift),
        (elevation, elevation + float(rng.uniform(-4, 4))),
        (distance, distance * float(rng.uniform(0.9, 1.12))),
        (start, end),
    )
