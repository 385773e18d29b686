# SPDX-License-Identifier: Apache-2.0
"""What a real camera does to pictures: colour cast, curve, vignette, blur, noise, compression."""

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from groundmore_ros.simulation.world import Sensor

__all__ = ["develop", "sample_sensor"]


def sample_sensor(rng: Generator) -> Sensor:
    """A camera with some of the faults that cameras have."""

    def perhaps(chance: float, low: float, high: float, otherwise: float) -> float:
        value = float(rng.uniform(low, high))
        return value if rng.random() < chance else otherwise

    red, green, blue = (float(v) for v in rng.uniform(0.85, 1.15, 3))
    return Sensor(
        gains=(red, green, blue),
        gamma=perhaps(0.6, 0.75, 1.35, 1.0),
        vignette=perhaps(0.4, 0.1, 0.45, 0.0),
        exposure=perhaps(0.5, 0.03, 0.08, 0.0),
        defocus=perhaps(0.4, 0.002, 0.0055, 0.0),
        quality=round(perhaps(0.6, 30, 90, 100)),
    )


def develop(
    rng: Generator, frames: NDArray[np.uint8], sensor: Sensor, noise: float
) -> NDArray[np.uint8]:
    """Pictures (T, H, W, 3) as the sensor gives them; ``noise`` is in grey levels."""
    lit = _light(frames, sensor)
    noisy = rng.standard_normal(frames.shape, dtype=np.float32) * noise + lit
    taken = np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
    return taken if sensor.quality >= 100 else _compress(taken, sensor.quality)


def _light(frames: NDArray[np.uint8], sensor: Sensor) -> NDArray[np.float32] | NDArray[np.uint8]:
    """Gains, curve, vignette and defocus; the very frames where none is asked for."""
    if sensor == Sensor(exposure=sensor.exposure, quality=sensor.quality):
        return frames
    height, width = frames.shape[1:3]
    share = np.clip(frames / np.float32(255) * np.array(sensor.gains, np.float32), 0, 1)
    rows = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    columns = np.linspace(-1, 1, width, dtype=np.float32)
    fall = 1 - np.float32(sensor.vignette) * (rows**2 + columns**2) / 2  # (H, W)
    lit = 255 * share ** np.float32(sensor.gamma) * fall[..., None]
    if sensor.defocus:
        sigma = sensor.defocus * width
        lit = np.stack([cv2.GaussianBlur(f, (0, 0), sigma) for f in lit])
    return np.asarray(lit, np.float32)


def _compress(frames: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    options = [cv2.IMWRITE_JPEG_QUALITY, quality]
    coded = [cv2.imencode(".jpg", frame[..., ::-1], options)[1] for frame in frames]
    decoded = [np.asarray(cv2.imdecode(code, cv2.IMREAD_COLOR), np.uint8) for code in coded]
    return np.stack(decoded)[..., ::-1]
