# SPDX-License-Identifier: Apache-2.0
"""Episodes: simulated clips with questions, exact masks and exact spans."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from groundmore_ros.simulation import physics, rendering
from groundmore_ros.simulation.motion import Clarity, Motion, analyse, mobility, uprightness
from groundmore_ros.simulation.questions import Question, ask
from groundmore_ros.simulation.sampling import sample_scene
from groundmore_ros.simulation.sensor import develop
from groundmore_ros.simulation.settings import EpisodeSettings
from groundmore_ros.simulation.world import Scene

__all__ = ["Episode", "generate"]


@dataclass(frozen=True)
class Episode:
    """A clip and what is true of it.

    Attributes:
        seed: what it was generated from.
        settings: likewise.
        frames: uint8 (T, H, W, 3) RGB.
        stamps: float64 (T,), s, the first one 0.
        object_masks: uint8 (T, H, W), 0 = background, k = object k as visible.
        questions: with targets numbered as in object_masks.
        active: bool (T, K), object k is in motion and seen in the frame.
        places: float64 (T, K, 3), centres, m, world frame.
        upright: float64 (T, K), cosine of the angle between a body's axis and the vertical.
        scene: bodies, camera, light, actions.
        motion: facts about every body.
    """

    seed: int
    settings: EpisodeSettings
    frames: NDArray[np.uint8]
    stamps: NDArray[np.float64]
    object_masks: NDArray[np.uint8]
    questions: list[Question]
    active: NDArray[np.bool_]
    places: NDArray[np.float64]
    upright: NDArray[np.float64]
    scene: Scene
    motion: Motion


def generate(seed: int, **settings: Any) -> Episode:
    """Simulate, render and question one episode.

    The same seed and settings give the same episode. The defaults are the exam of
    :mod:`groundmore_ros.simulation.settings`.

    Args:
        seed: not negative; the ranges for training, validation and tests are in ``settings``.
        **settings: fields of :class:`EpisodeSettings`.

    Raises:
        GroundmoreError: a setting out of range.
        MissingDependencyError: no off-screen OpenGL works on this machine.
    """
    chosen = replace(EpisodeSettings(), **settings)
    rng = np.random.Generator(np.random.PCG64(seed))
    more = np.random.Generator(np.random.PCG64([seed, 1]))
    scene = sample_scene(rng, more, chosen)
    model = physics.build_model(scene, chosen.width, chosen.height)
    trajectory = physics.simulate(model, scene, chosen.duration)
    stamps = np.arange(chosen.frames) / chosen.rate
    frames, masks = rendering.render(
        model,
        trajectory,
        scene.camera,
        shadows=scene.light.shadow,
        stamps=stamps,
        width=chosen.width,
        height=chosen.height,
        exposure=scene.sensor.exposure,
    )
    frames = develop(rng, frames, scene.sensor, scene.noise)
    motion = analyse(trajectory, scene, masks)

    def without(body: int) -> list[Clarity]:
        return mobility(physics.simulate(model, scene, chosen.duration, without=body), scene)

    questions = ask(rng, more, scene, motion, stamps, chosen, without)
    at_frames = np.round(stamps * physics.SAMPLE_RATE).astype(int)
    return Episode(
        seed=seed,
        settings=chosen,
        frames=frames,
        stamps=stamps,
        object_masks=masks,
        questions=questions,
        active=_active(motion, stamps),
        places=trajectory.positions[at_frames],
        upright=uprightness(trajectory)[at_frames],
        scene=scene,
        motion=motion,
    )


def _active(motion: Motion, stamps: NDArray[np.float64]) -> NDArray[np.bool_]:
    active = np.zeros(motion.seen.shape, bool)
    for k, segments in enumerate(motion.segments):
        for segment in segments:
            active[:, k] |= (stamps >= segment.start) & (stamps <= segment.end)
    return active & motion.seen
