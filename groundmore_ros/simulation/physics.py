# SPDX-License-Identifier: Apache-2.0
"""MuJoCo models of scenes, and what happens in them: poses over time and the contact record."""

from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from groundmore_ros.simulation.textures import paint
from groundmore_ros.simulation.world import (
    ACTORS,
    TABLE_HALF,
    TABLE_HEIGHT,
    Action,
    Body,
    Scene,
)

__all__ = ["SAMPLE_RATE", "Contact", "Trajectory", "build_model", "simulate"]

TIMESTEP = 0.004  # s
SAMPLE_STEPS = 5
SAMPLE_RATE = 1.0 / (TIMESTEP * SAMPLE_STEPS)  # Hz, of the recorded poses
SETTLE_TIME = 0.4  # s, before the first frame, so that nothing moves by itself
TOPPLE_TIME = 0.06  # s, how long a toppling push lasts
_BODY_GEOM = "body{}"
_GEOM_TYPES = {
    "ball": mujoco.mjtGeom.mjGEOM_SPHERE,
    "cube": mujoco.mjtGeom.mjGEOM_BOX,
    "cylinder": mujoco.mjtGeom.mjGEOM_CYLINDER,
    "pillar": mujoco.mjtGeom.mjGEOM_BOX,
    "disc": mujoco.mjtGeom.mjGEOM_CYLINDER,
    "brick": mujoco.mjtGeom.mjGEOM_BOX,
    "arm": mujoco.mjtGeom.mjGEOM_BOX,
}


@dataclass(frozen=True)
class Contact:
    """An uninterrupted touch of two bodies, by the time it began and ended."""

    first: int
    second: int
    start: float  # s
    end: float  # s


@dataclass(frozen=True)
class Trajectory:
    """What the bodies did, sampled at SAMPLE_RATE from the first frame on.

    Attributes:
        times: (S,) s.
        positions: (S, K, 3) centres, m, world frame.
        rotations: (S, K, 4) unit quaternions w, x, y, z.
        contacts: touches between bodies, by start.
    """

    times: NDArray[np.float64]
    positions: NDArray[np.float64]
    rotations: NDArray[np.float64]
    contacts: list[Contact]


def build_model(scene: Scene, width: int = 160, height: int = 120) -> mujoco.MjModel:
    """Compile a scene; body k is geom ``body<k>`` and joint k. Pictures are at most that large."""
    spec = mujoco.MjSpec()
    spec.option.timestep = TIMESTEP
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    spec.option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    spec.visual.quality.offsamples = 0
    spec.visual.quality.shadowsize = 1024
    spec.visual.global_.offwidth = width
    spec.visual.global_.offheight = height
    spec.visual.global_.fovy = scene.camera.fovy
    spec.visual.map.znear = 0.02
    spec.visual.map.shadowclip = 1.2
    spec.stat.extent = 1.6
    spec.visual.headlight.ambient = [scene.light.ambient] * 3
    spec.visual.headlight.diffuse = [0.0] * 3
    spec.visual.headlight.specular = [0.0] * 3
    _add_surfaces(spec, scene)
    for k, body in enumerate(scene.bodies):
        _add_body(spec, k, body)
    light = scene.light
    spec.worldbody.add_light(
        pos=list(light.position),
        dir=list(-np.array(light.position) / np.linalg.norm(light.position)),
        type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL,
        diffuse=[light.diffuse] * 3,
        ambient=[0.0] * 3,
        specular=[0.2] * 3,
        castshadow=int(light.shadow),
    )
    return spec.compile()


def _add_painting(
    spec: mujoco.MjSpec, name: str, painting: NDArray[np.uint8], repeat: float
) -> None:
    texture = spec.add_texture(
        name=name,
        type=mujoco.mjtTexture.mjTEXTURE_2D,
        width=painting.shape[1],
        height=painting.shape[0],
        nchannel=3,
    )
    texture.data = painting.tobytes()
    material = spec.add_material(name=name, texrepeat=[repeat, repeat])
    material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = name


def _add_texture(
    spec: mujoco.MjSpec, name: str, pattern: str, rgb: tuple[float, ...], rgb2: tuple[float, ...]
) -> None:
    kinds = {
        "flat": mujoco.mjtBuiltin.mjBUILTIN_FLAT,
        "checker": mujoco.mjtBuiltin.mjBUILTIN_CHECKER,
        "gradient": mujoco.mjtBuiltin.mjBUILTIN_GRADIENT,
    }
    spec.add_texture(
        name=name,
        type=mujoco.mjtTexture.mjTEXTURE_2D,
        builtin=kinds[pattern],
        rgb1=list(rgb),
        rgb2=list(rgb2),
        width=64,
        height=64,
    )
    material = spec.add_material(name=name, texrepeat=[4, 4] if pattern == "checker" else [1, 1])
    material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = name


def _add_surfaces(spec: mujoco.MjSpec, scene: Scene) -> None:
    if scene.texture is None:
        _add_texture(spec, "surface", scene.surface_pattern, *scene.surface_rgb)
    else:
        repeat = 1.0 if scene.table else 6.0
        _add_painting(spec, "surface", paint(*scene.texture, *scene.surface_rgb), repeat)
    world = spec.worldbody
    if scene.wall is not None:
        _add_painting(spec, "wall", paint(*scene.wall, *scene.surface_rgb[::-1]), 3.0)
        world.add_geom(
            type=mujoco.mjtGeom.mjGEOM_BOX, size=[3, 0.02, 1.5], pos=[0, 1.4, 0.8], material="wall"
        )
    for prop in scene.props:
        for block in prop.blocks:
            world.add_geom(
                type=mujoco.mjtGeom.mjGEOM_BOX,
                size=list(block.half),
                pos=list(block.position),
                quat=_attitude(block.yaw, block.tilt),
                rgba=[*prop.rgb, 1],
                friction=[1, 0, 0],
            )
    if not scene.table:
        world.add_geom(
            type=mujoco.mjtGeom.mjGEOM_PLANE,
            size=[4, 4, 0.1],
            material="surface",
            friction=[1, 0, 0],
        )
        return
    world.add_geom(
        type=mujoco.mjtGeom.mjGEOM_BOX,
        size=[*TABLE_HALF, 0.02],
        pos=[0, 0, -0.02],
        material="surface",
        friction=[1, 0, 0],
    )
    world.add_geom(
        type=mujoco.mjtGeom.mjGEOM_PLANE,
        size=[4, 4, 0.1],
        pos=[0, 0, -TABLE_HEIGHT],
        rgba=[*scene.floor_rgb, 1],
        friction=[1, 0, 0],
    )


def _attitude(yaw: float, tilt: float) -> list[float]:
    """Unit quaternion w, x, y, z of a turn about z and then about the body's own y axis."""
    cy, sy, ct, st = np.cos(yaw / 2), np.sin(yaw / 2), np.cos(tilt / 2), np.sin(tilt / 2)
    return [float(cy * ct), float(-sy * st), float(cy * st), float(sy * ct)]


def _add_body(spec: mujoco.MjSpec, index: int, body: Body) -> None:
    node = spec.worldbody.add_body(pos=list(body.position), quat=_attitude(body.yaw, body.tilt))
    node.add_freejoint()
    x, y, z = body.half_extents
    size = [x, z, 0] if body.shape in ("cylinder", "disc") else [x, y, z]
    name = _BODY_GEOM.format(index)
    geom = node.add_geom(
        name=name,
        type=_GEOM_TYPES[body.shape],
        size=size,
        mass=body.mass,
        friction=[body.friction, 0.002, 0.0006],
        condim=6,
        priority=1,
        solref=[0.01, 0.7],
    )
    if body.texture >= 0:
        shade = (0.6 * body.rgb[0], 0.6 * body.rgb[1], 0.6 * body.rgb[2])
        _add_painting(spec, name, paint("noise", body.texture, body.rgb, shade), 1.0)
        geom.material = name
    elif body.checkered:
        shade = (0.72 * body.rgb[0], 0.72 * body.rgb[1], 0.72 * body.rgb[2])
        _add_texture(spec, name, "checker", body.rgb, shade)
        geom.material = name
    else:
        spec.add_material(name=name, rgba=[*body.rgb, 1], specular=0.3, shininess=body.shininess)
        geom.material = name
    if body.shape in ACTORS:
        # The arm itself leans back from its foot and touches nothing.
        node.add_geom(
            type=mujoco.mjtGeom.mjGEOM_CAPSULE,
            fromto=[0, 0, z / 2, -0.12, 0, 0.55],
            size=[0.014, 0, 0],
            material=name,
            mass=0.01,
            contype=0,
            conaffinity=0,
        )


def simulate(
    model: mujoco.MjModel, scene: Scene, duration: float, without: int | None = None
) -> Trajectory:
    """Run a scene from rest; ``without`` simulates again as if that body had never been there.

    Args:
        model: from :func:`build_model`.
        scene: the scene that the model was built from.
        duration: seconds after the first frame.
        without: a body to leave out: it is taken far away and its actions are not taken. What
            stood on it falls from where it stood. Contacts are not recorded then.
    """
    data = mujoco.MjData(model)
    count = len(scene.bodies)
    geoms = np.full(model.ngeom, -1)
    for k in range(count):
        geoms[model.geom(_BODY_GEOM.format(k)).id] = k
    if without is not None:
        data.qpos[7 * without : 7 * without + 3] = (50.0, 50.0, 10.0)
    actors = {k for k, b in enumerate(scene.bodies) if b.shape in ACTORS}
    held = ({a.body for a in scene.actions if a.kind == "drop"} | actors) - {without}
    actions = sorted((a for a in scene.actions if a.body != without), key=lambda a: a.time)
    reaches = [a for a in actions if a.kind == "reach"]
    rest = data.qpos.copy()
    for _ in range(round(SETTLE_TIME / TIMESTEP)):
        _hold(data, rest, held)
        mujoco.mj_step(model, data)
    data.time = 0.0
    recorder = _Recorder(geoms, count)
    for step in range(round(duration / TIMESTEP) + 1):
        if step % SAMPLE_STEPS == 0:
            recorder.sample(step * TIMESTEP, data)
        _act(model, data, actions, held, step)
        if held:
            _hold(data, rest, held)
        for action in reaches:
            _reach(data, rest, action, step * TIMESTEP)
        mujoco.mj_step(model, data)
        if without is None:
            recorder.touch(step * TIMESTEP, data)
    return recorder.finish(duration)


def _hold(data: mujoco.MjData, rest: NDArray[np.float64], held: set[int]) -> None:
    for k in held:
        data.qpos[7 * k : 7 * k + 7] = rest[7 * k : 7 * k + 7]
        data.qvel[6 * k : 6 * k + 6] = 0


def _act(
    model: mujoco.MjModel, data: mujoco.MjData, actions: list[Action], held: set[int], step: int
) -> None:
    for action in actions:
        start = round(action.time / TIMESTEP)
        row = slice(6 * action.body, 6 * action.body + 3)
        if action.kind == "topple" and start <= step <= start + round(TOPPLE_TIME / TIMESTEP):
            _push_over(model, data, action, release=step == start + round(TOPPLE_TIME / TIMESTEP))
        elif step == start and action.kind == "drop":
            held.discard(action.body)
        elif step == start and action.kind in ("push", "throw"):
            data.qvel[row] = action.velocity
            _roll(model, data, action)


def _reach(data: mujoco.MjData, rest: NDArray[np.float64], action: Action, time: float) -> None:
    """Take an actor along its way: nothing stops it, it starts and ends gently."""
    part = float(np.clip((time - action.time) / action.duration, 0, 1))
    velocity = np.array(action.velocity)
    row, speed = 7 * action.body, 6 * action.body
    way = velocity * action.duration * part * part * (3 - 2 * part)
    data.qpos[row : row + 3] = rest[row : row + 3] + way
    data.qvel[speed : speed + 3] = velocity * 6 * part * (1 - part)


def _push_over(
    model: mujoco.MjModel, data: mujoco.MjData, action: Action, *, release: bool
) -> None:
    """Push a body near its top: the force that changes its velocity by the action's in time."""
    node = action.body + 1
    force = model.body_mass[node] * np.array(action.velocity) / TOPPLE_TIME * (not release)
    lever = np.array([0, 0, 0.8 * model.geom_size[model.body_geomadr[node]][2]])
    data.xfrc_applied[node, :3] = force
    data.xfrc_applied[node, 3:] = np.cross(lever, force)


def _roll(model: mujoco.MjModel, data: mujoco.MjData, action: Action) -> None:
    """A ball that is pushed along the ground rolls from the start."""
    geom = model.body_geomadr[action.body + 1]
    if model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_SPHERE and action.kind == "push":
        vx, vy, _ = action.velocity
        radius = model.geom_size[geom][0]
        spin = np.array([-vy, vx, 0.0]) / radius
        turn = np.zeros(9)
        mujoco.mju_quat2Mat(turn, data.qpos[7 * action.body + 3 : 7 * action.body + 7])
        # Angular velocities of free joints are in the body's own frame.
        data.qvel[6 * action.body + 3 : 6 * action.body + 6] = turn.reshape(3, 3).T @ spin


class _Recorder:
    """Collects poses and turns step-by-step touches into contacts with a start and an end."""

    def __init__(self, geoms: NDArray[np.int64], count: int) -> None:
        self._geoms = geoms
        self._count = count
        self._times: list[float] = []
        self._poses: list[NDArray[np.float64]] = []
        self._open: dict[tuple[int, int], tuple[float, float]] = {}
        self._contacts: list[Contact] = []

    def sample(self, time: float, data: mujoco.MjData) -> None:
        self._times.append(time)
        self._poses.append(data.qpos.copy().reshape(self._count, 7))

    def touch(self, time: float, data: mujoco.MjData) -> None:
        if data.ncon == 0:
            return
        pairs = self._geoms[data.contact.geom]  # (C, 2) body indices, -1 for surfaces
        for a, b in pairs[(pairs >= 0).all(axis=1)]:
            key = (int(min(a, b)), int(max(a, b)))
            start, last = self._open.get(key, (time, time))
            if time - last > 0.1:  # touches closer than this are one contact
                self._contacts.append(Contact(*key, start, last))
                start = time
            self._open[key] = (start, time)

    def finish(self, duration: float) -> Trajectory:
        rest = [
            Contact(*key, start, min(end, duration)) for key, (start, end) in self._open.items()
        ]
        poses = np.array(self._poses)
        return Trajectory(
            times=np.array(self._times),
            positions=poses[:, :, :3],
            rotations=poses[:, :, 3:],
            contacts=sorted(self._contacts + rest, key=lambda c: (c.start, c.first, c.second)),
        )
