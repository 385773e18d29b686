# SPDX-License-Identifier: Apache-2.0
"""Off-screen pictures and segmentations of simulated scenes."""

import atexit
import importlib
import os
import subprocess
import sys
from functools import cache
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from groundmore_ros.errors import MissingDependencyError
from groundmore_ros.simulation.physics import Trajectory
from groundmore_ros.simulation.world import Camera

__all__ = ["render"]

_BACKENDS = ("egl", "osmesa")
_PROBE = """
import mujoco
from mujoco.{0} import GLContext
context = GLContext(8, 8)
context.make_current()
mujoco.MjrContext(mujoco.MjModel.from_xml_string("<mujoco/>"), 50).free()
context.free()
"""
# A segment id of the renderer is one more than the scene geom's index.
_SEGMENT_FLAGS = (mujoco.mjtRndFlag.mjRND_SEGMENT, mujoco.mjtRndFlag.mjRND_IDCOLOR)


@cache
def _context(process: int, width: int, height: int) -> Any:
    """An OpenGL context of this process.

    Raises:
        MissingDependencyError: no back end works.
    """
    del process  # only tells caches of forked processes apart
    name = os.environ.get("MUJOCO_GL", "")
    if name not in _BACKENDS:
        name = _working_backend()
        os.environ["MUJOCO_GL"] = name  # for this process's children, too
    os.environ["PYOPENGL_PLATFORM"] = name
    try:
        context = importlib.import_module(f"mujoco.{name}").GLContext(width, height)
        context.make_current()
    except Exception as error:
        raise MissingDependencyError(f"MUJOCO_GL={name} does not work here: {error}") from error
    atexit.register(context.free)
    return context


def _working_backend() -> str:
    """The first back end that draws in a process of its own: a failed one spoils its process."""
    failures = []
    for name in _BACKENDS:
        done = subprocess.run(
            [sys.executable, "-c", _PROBE.format(name)],
            env=os.environ | {"MUJOCO_GL": name, "PYOPENGL_PLATFORM": name},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode == 0:
            return name
        failures.append(f"{name}: {(done.stderr.strip().splitlines() or ['crashed'])[-1]}")
    raise MissingDependencyError(
        "no off-screen OpenGL works here; install one (Debian, Ubuntu: apt install libosmesa6), or "
        f"set MUJOCO_GL to one of {', '.join(_BACKENDS)}. Tried: {'; '.join(failures)}"
    )


def render(
    model: mujoco.MjModel,
    trajectory: Trajectory,
    camera: Camera,
    *,
    shadows: bool,
    stamps: NDArray[np.float64],
    width: int,
    height: int,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Draw each stamp's frame and which body is seen where.

    Args:
        model: the compiled scene.
        trajectory: poses from the simulation.
        camera: the camera's path, drawn from the first stamp to the last.
        shadows: whether the light casts shadows.
        stamps: (T,) s.
        width: pixels.
        height: pixels.

    Returns:
        frames (T, H, W, 3) RGB and object masks (T, H, W), 0 for background and k + 1 for body k.
    """
    _context(os.getpid(), width, height).make_current()
    drawing = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_50.value)
    drawing.readDepthMap = mujoco.mjtDepthMap.mjDEPTH_ZEROFAR
    mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN.value, drawing)
    try:
        return _draw(model, drawing, trajectory, camera, shadows, stamps, width, height)
    finally:
        drawing.free()


def _draw(
    model: mujoco.MjModel,
    drawing: mujoco.MjrContext,
    trajectory: Trajectory,
    camera: Camera,
    shadows: bool,
    stamps: NDArray[np.float64],
    width: int,
    height: int,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    data = mujoco.MjData(model)
    scene = mujoco.MjvScene(model, maxgeom=200)
    option, view = mujoco.MjvOption(), mujoco.MjvCamera()
    option.flags[mujoco.mjtVisFlag.mjVIS_LIGHT] = 0
    area = mujoco.MjrRect(0, 0, width, height)
    frames = np.empty((len(stamps), height, width, 3), np.uint8)
    masks = np.empty((len(stamps), height, width), np.uint8)
    pixels = np.empty((height, width, 3), np.uint8)
    nearest = np.abs(trajectory.times[None] - stamps[:, None]).argmin(axis=1)
    for t, sample in enumerate(nearest):
        poses = np.concatenate([trajectory.positions[sample], trajectory.rotations[sample]], axis=1)
        data.qpos[:] = poses.reshape(-1)
        mujoco.mj_kinematics(model, data)
        mujoco.mj_camlight(model, data)
        _aim(view, camera, t / max(1, len(stamps) - 1))
        mujoco.mjv_updateScene(
            model, data, option, None, view, mujoco.mjtCatBit.mjCAT_ALL.value, scene
        )
        scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = shadows
        scene.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = 0
        mujoco.mjr_render(area, scene, drawing)
        mujoco.mjr_readPixels(pixels, None, area, drawing)
        frames[t] = pixels[::-1]  # OpenGL's rows start at the bottom
        for flag in _SEGMENT_FLAGS:
            scene.flags[flag] = 1
        mujoco.mjr_render(area, scene, drawing)
        mujoco.mjr_readPixels(pixels, None, area, drawing)
        for flag in _SEGMENT_FLAGS:
            scene.flags[flag] = 0
        masks[t] = _bodies_of(pixels[::-1], scene, model)
    return frames, masks


def _aim(view: mujoco.MjvCamera, camera: Camera, part: float) -> None:
    smooth = part * part * (3 - 2 * part)
    view.type = mujoco.mjtCamera.mjCAMERA_FREE

    def between(ends: tuple[Any, Any]) -> Any:
        return np.asarray(ends[0]) * (1 - smooth) + np.asarray(ends[1]) * smooth

    view.azimuth = float(between(camera.azimuth))
    view.elevation = float(between(camera.elevation))
    view.distance = float(between(camera.distance))
    view.lookat[:] = between(camera.target)


def _bodies_of(
    pixels: NDArray[np.uint8], scene: mujoco.MjvScene, model: mujoco.MjModel
) -> NDArray[np.uint8]:
    """Segment colours (H, W, 3) to body numbers (H, W): MuJoCo body k + 1 is our body k."""
    ids = pixels.astype(np.int32) @ np.array([1, 256, 65536], np.int32)
    table = np.zeros(scene.ngeom + 1, np.uint8)
    for geom in scene.geoms[: scene.ngeom]:
        if geom.segid >= 0 and geom.objtype == mujoco.mjtObj.mjOBJ_GEOM:
            table[geom.segid + 1] = model.geom_bodyid[geom.objid]
    return np.asarray(table[np.clip(ids, 0, scene.ngeom)])
