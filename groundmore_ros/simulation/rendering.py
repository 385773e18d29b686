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
    exposure: float = 0.0,
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
        exposure: s, that each picture gathers light for, around its stamp.

    Returns:
        frames (T, H, W, 3) RGB and object masks (T, H, W), 0 for background and k + 1 for body k.
    """
    _context(os.getpid(), width, height).make_current()
    drawing = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_50.value)
    drawing.readDepthMap = mujoco.mjtDepthMap.mjDEPTH_ZEROFAR
    mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN.value, drawing)
    painter = _Painter(model, drawing, camera, shadows, width, height)
    frames = np.empty((len(stamps), height, width, 3), np.uint8)
    masks = np.empty((len(stamps), height, width), np.uint8)
    offsets = (-exposure / 2, exposure / 2, 0.0) if exposure else (0.0,)
    try:
        for t, stamp in enumerate(stamps):
            pictures = []
            for offset in offsets:  # the stamp itself last: its bodies are looked up
                painter.pose(trajectory, stamp + offset, stamps, t)
                pictures.append(painter.picture())
            frames[t] = np.mean(pictures, axis=0) if exposure else pictures[0]
            masks[t] = painter.bodies()
    finally:
        drawing.free()
    return frames, masks


class _Painter:
    """A scene ready to be drawn, and its renderer's context."""

    def __init__(
        self,
        model: mujoco.MjModel,
        drawing: mujoco.MjrContext,
        camera: Camera,
        shadows: bool,
        width: int,
        height: int,
    ) -> None:
        self.model, self.drawing, self.camera, self.shadows = model, drawing, camera, shadows
        self.data = mujoco.MjData(model)
        self.scene = mujoco.MjvScene(model, maxgeom=200)
        self.option, self.view = mujoco.MjvOption(), mujoco.MjvCamera()
        self.option.flags[mujoco.mjtVisFlag.mjVIS_LIGHT] = 0
        self.area = mujoco.MjrRect(0, 0, width, height)
        self.pixels = np.empty((height, width, 3), np.uint8)

    def pose(
        self, trajectory: Trajectory, time: float, stamps: NDArray[np.float64], frame: int
    ) -> None:
        """Put bodies and camera where they are at a time."""
        sample = int(np.abs(trajectory.times - time).argmin())
        poses = np.concatenate([trajectory.positions[sample], trajectory.rotations[sample]], axis=1)
        self.data.qpos[:] = poses.reshape(-1)
        mujoco.mj_kinematics(self.model, self.data)
        mujoco.mj_camlight(self.model, self.data)
        step = (time - stamps[frame]) * (len(stamps) - 1) / max(stamps[-1] - stamps[0], 1e-9)
        _aim(self.view, self.camera, (frame + step) / max(1, len(stamps) - 1), frame)
        mujoco.mjv_updateScene(
            self.model,
            self.data,
            self.option,
            None,
            self.view,
            mujoco.mjtCatBit.mjCAT_ALL.value,
            self.scene,
        )
        self.scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = self.shadows
        self.scene.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = 0

    def picture(self) -> NDArray[np.uint8]:
        """The scene as it is posed (H, W, 3) RGB."""
        mujoco.mjr_render(self.area, self.scene, self.drawing)
        mujoco.mjr_readPixels(self.pixels, None, self.area, self.drawing)
        return self.pixels[::-1].copy()  # OpenGL's rows start at the bottom

    def bodies(self) -> NDArray[np.uint8]:
        """Which body is seen where (H, W)."""
        for flag in _SEGMENT_FLAGS:
            self.scene.flags[flag] = 1
        coloured = self.picture()
        for flag in _SEGMENT_FLAGS:
            self.scene.flags[flag] = 0
        return _bodies_of(coloured, self.scene, self.model)


def _aim(view: mujoco.MjvCamera, camera: Camera, part: float, frame: int) -> None:
    azimuth, elevation = camera.shake[frame] if camera.shake else (0.0, 0.0)
    part = min(max(part, 0.0), 1.0)
    smooth = part * part * (3 - 2 * part)
    view.type = mujoco.mjtCamera.mjCAMERA_FREE

    def between(ends: tuple[Any, Any]) -> Any:
        return np.asarray(ends[0]) * (1 - smooth) + np.asarray(ends[1]) * smooth

    view.azimuth = float(between(camera.azimuth)) + azimuth
    view.elevation = float(between(camera.elevation)) + elevation
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
