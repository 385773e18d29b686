# SPDX-License-Identifier: Apache-2.0
"""Scenes at random, as the settings want them."""

from dataclasses import replace

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from groundmore_ros.simulation.props import add_arm, add_clutter, add_prop
from groundmore_ros.simulation.sensor import sample_sensor
from groundmore_ros.simulation.settings import EpisodeSettings
from groundmore_ros.simulation.stories import StoryTeller
from groundmore_ros.simulation.textures import TEXTURES
from groundmore_ros.simulation.world import (
    COLOURS,
    FIELD_HALF,
    RGB,
    SHAPES,
    Body,
    Camera,
    Light,
    Scene,
)

__all__ = ["sample_scene"]


def sample_scene(rng: Generator, more: Generator, settings: EpisodeSettings) -> Scene:
    """Draw a scene; the same generators' states give the same scene.

    Args:
        rng: draws the plain scene.
        more: draws what makes it less plain, so that the plain part is the same without.
        settings: how often there is what.
    """
    count = int(rng.integers(settings.min_objects, settings.max_objects + 1))
    table = bool(rng.random() < settings.table_share)
    looks = _sample_looks(rng, count, settings.shared_colour_share)
    bodies: list[Body] = []
    for shape, colour in looks:
        bodies.append(_sample_body(rng, shape, colour, bodies))
    story = StoryTeller(rng, bodies, settings.duration, table)
    wanted = more.random(6) < _shares(settings)
    kept = [story.keep() if wish else None for wish in wanted[:2]]
    story.build()
    scene = Scene(
        bodies=story.bodies,
        actions=story.actions,
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
        stacked=story.stacked,
    )
    rider, arm = kept
    prop = None if rider is None else add_prop(more, story, rider)
    scene.props += [prop] if prop else []
    if arm is not None:
        add_arm(more, story, arm, prop)
    _enrich(more, scene, wanted[2:], settings)
    return scene


def _shares(settings: EpisodeSettings) -> NDArray[np.float64]:
    return np.array(
        [
            settings.prop_share,
            settings.actor_share,
            settings.still_share,
            settings.textured_share,
            settings.shake_share,
            settings.degraded_share,
        ]
    )


def _enrich(
    rng: Generator, scene: Scene, wanted: NDArray[np.bool_], settings: EpisodeSettings
) -> None:
    """Stillness, textures, a shaking hand and a sensor with faults, where they are wanted."""
    still, textured, shaken, degraded = wanted
    if still:
        _calm(scene)
    if textured:
        _decorate(rng, scene)
    if shaken:
        scene.camera = replace(scene.camera, shake=_shake(rng, settings.frames))
    if degraded:
        scene.sensor = sample_sensor(rng)


def _calm(scene: Scene) -> None:
    """Nothing happens: what hung in the air stands on the ground."""
    held = {a.body for a in scene.actions if a.kind == "drop"}
    scene.actions.clear()
    on_ramps = {p.body for p in scene.props if p.kind == "ramp"}
    scene.props = [p for p in scene.props if p.kind != "ramp"]
    for k in held:
        if k in on_ramps:
            scene.bodies[k] = replace(scene.bodies[k], tilt=0.0)
        if k not in scene.stacked:
            x, y, _ = scene.bodies[k].position
            scene.bodies[k] = scene.bodies[k].at(x, y, scene.bodies[k].half_extents[2])


def _decorate(rng: Generator, scene: Scene) -> None:
    names = list(TEXTURES)
    scene.texture = (str(rng.choice(names)), int(rng.integers(2**31)))
    scene.surface_rgb = (_tinted(rng), _tinted(rng))
    scene.floor_rgb = _tinted(rng)
    if rng.random() < 0.6:
        scene.wall = (str(rng.choice(names)), int(rng.integers(2**31)))
    if rng.random() < 0.5:
        scene.props.append(add_clutter(rng))
    for k, body in enumerate(scene.bodies):
        if not body.checkered and rng.random() < 0.25:
            scene.bodies[k] = replace(body, texture=int(rng.integers(2**31)))


def _tinted(rng: Generator) -> RGB:
    """Any colour that is less vivid than those of the objects."""
    r, g, b = np.clip(rng.uniform(0.15, 0.8) + rng.uniform(-0.16, 0.16, 3), 0.03, 0.95)
    return float(r), float(g), float(b)


def _shake(rng: Generator, frames: int) -> tuple[tuple[float, float], ...]:
    """A hand's tremor: azimuth and elevation, deg, a random walk that is drawn back to zero."""
    amplitude = rng.uniform(0.1, 0.45)
    offset, rows = np.zeros(2), []
    for _ in range(frames):
        offset = 0.7 * offset + rng.normal(0, amplitude, 2)
        rows.append((float(offset[0]), float(offset[1])))
    return tuple(rows)


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
            best, room = body.at(x, y, body.position[2]), gap
        if gap > 0.08:
            break
    return best


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
