# SPDX-License-Identifier: Apache-2.0
"""What a scene is made of: bodies, surfaces, props, camera, light, and what sets bodies in motion.

World frame: x and y horizontal, z up, metres; the surface that objects stand on is z = 0. Scenes
are laid out in the camera's ground frame (x to the camera's right, y away from it) and the world
axes are that frame, so "left" is -x in the first frame.
"""

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

__all__ = [
    "ACTORS",
    "COLOURS",
    "FIELD_HALF",
    "RGB",
    "ROUND_SHAPES",
    "SHAPES",
    "TABLE_HALF",
    "TABLE_HEIGHT",
    "TALL_SHAPES",
    "Action",
    "Block",
    "Body",
    "Camera",
    "Light",
    "Prop",
    "Scene",
    "Sensor",
    "Vector",
]

Vector = tuple[float, float, float]
RGB = tuple[float, float, float]
ActionKind = Literal["push", "drop", "throw", "topple", "reach"]
PropKind = Literal["ramp", "shelf", "container", "screen", "clutter"]

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
# What moves by a will of its own and is not stopped by what it meets: half extents of its foot, m.
ACTORS: dict[str, tuple[float, float, float]] = {"arm": (0.016, 0.055, 0.035)}
ROUND_SHAPES = frozenset({"ball", "cylinder", "disc"})
TALL_SHAPES = frozenset({"pillar", "cylinder"})  # these fall over
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
    tilt: float = 0.0  # rad, nose down about the body's y axis, after the yaw
    texture: int = -1  # seed of a mottled look; none: -1

    @property
    def half_extents(self) -> tuple[float, float, float]:
        """Half extents along the body's axes, m."""
        if self.shape in ACTORS:
            return ACTORS[self.shape]
        x, y, z = SHAPES[self.shape]
        return (x * self.size, y * self.size, z * self.size)

    @property
    def radius(self) -> float:
        """Horizontal radius that encloses the body, m."""
        x, y, _ = self.half_extents
        return max(x, y) if self.shape in ROUND_SHAPES else float(np.hypot(x, y))

    def at(self, x: float, y: float, z: float) -> "Body":
        """The same body in another place."""
        return replace(self, position=(float(x), float(y), float(z)))


@dataclass(frozen=True)
class Action:
    """Something that sets a body in motion by itself, at a time."""

    kind: ActionKind
    body: int
    time: float  # s, from the first frame
    velocity: Vector = (0.0, 0.0, 0.0)  # m/s, world frame; of a reach: its mean
    duration: float = 0.0  # s, of a reach


@dataclass(frozen=True)
class Block:
    """A box that never moves."""

    position: Vector  # m, centre
    half: Vector  # m
    yaw: float = 0.0  # rad
    tilt: float = 0.0  # rad, nose down about the block's y axis, after the yaw


@dataclass(frozen=True)
class Prop:
    """Something that stands in the scene and is asked about at most as a place."""

    kind: PropKind
    blocks: tuple[Block, ...]
    rgb: RGB
    body: int | None = None  # the body that starts on it
    centre: tuple[float, float] = (0.0, 0.0)  # m
    reach: float = 0.0  # m, half the inner side of a container


@dataclass(frozen=True)
class Camera:
    """An orbiting camera that may drift: each value is (at the start, at the end)."""

    azimuth: tuple[float, float]  # deg, 90 looks along +y
    elevation: tuple[float, float]  # deg, negative looks down
    distance: tuple[float, float]  # m
    target: tuple[Vector, Vector]  # m
    fovy: float = 40.0  # deg
    # A hand that holds it: azimuth and elevation (deg) added in each frame.
    shake: tuple[tuple[float, float], ...] = ()

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


@dataclass(frozen=True)
class Sensor:
    """What a real camera does to a picture; the defaults do nothing."""

    gains: RGB = (1.0, 1.0, 1.0)  # of red, green and blue: a colour cast
    gamma: float = 1.0
    vignette: float = 0.0  # share of the light lost in the corners
    exposure: float = 0.0  # s, that a picture gathers light for: what moves is blurred
    defocus: float = 0.0  # standard deviation of the blur, shares of the picture's width
    quality: int = 100  # of the JPEG compression; 100: none


@dataclass
class Scene:
    """Everything an episode is simulated and rendered from."""

    bodies: list[Body]
    actions: list[Action]
    table: bool
    surface_rgb: tuple[Vector, Vector]
    surface_pattern: str
    floor_rgb: tuple[float, float, float]
    camera: Camera
    light: Light
    noise: float  # standard deviation of the sensor's noise, grey levels
    stacked: dict[int, int] = field(default_factory=dict)  # body -> the body it stands on
    props: list[Prop] = field(default_factory=list)
    texture: tuple[str, int] | None = None  # the surface's, by name and seed
    wall: tuple[str, int] | None = None  # likewise of a wall behind the scene
    sensor: Sensor = field(default_factory=Sensor)
