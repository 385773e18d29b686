# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from groundmore_ros.simulation.sensor import develop, sample_sensor
from groundmore_ros.simulation.textures import SIDE, TEXTURES, paint
from groundmore_ros.simulation.world import Sensor

FRAMES = np.random.default_rng(0).integers(0, 256, (2, 24, 32, 3)).astype(np.uint8)


def _develop(sensor: Sensor, noise: float = 0.0) -> np.ndarray:
    return develop(np.random.default_rng(1), FRAMES, sensor, noise)


def test_a_perfect_sensor_changes_nothing() -> None:
    assert np.array_equal(_develop(Sensor()), FRAMES)


def test_gains_and_gamma_give_the_expected_values() -> None:
    dimmed = _develop(Sensor(gains=(0.5, 1.0, 1.0)))
    assert np.abs(dimmed[..., 0] - FRAMES[..., 0] / 2).max() <= 0.5
    assert np.array_equal(dimmed[..., 1:], FRAMES[..., 1:])
    squared = _develop(Sensor(gamma=2.0)).astype(float)
    assert np.abs(squared - FRAMES.astype(float) ** 2 / 255).max() <= 0.51


def test_a_vignette_darkens_the_corners_only() -> None:
    lit = _develop(Sensor(vignette=0.4)).astype(float)
    assert np.abs(lit[:, 0, 0] - 0.6 * FRAMES[:, 0, 0]).max() <= 0.51
    assert np.abs(lit[:, 12, 16] - FRAMES[:, 12, 16]).max() <= 1


def test_defocus_and_compression_take_detail_away() -> None:
    spread = FRAMES.astype(float).std()
    assert _develop(Sensor(defocus=0.05)).astype(float).std() < 0.6 * spread
    coarse = np.abs(_develop(Sensor(quality=10)).astype(int) - FRAMES).mean()
    fine = np.abs(_develop(Sensor(quality=90)).astype(int) - FRAMES).mean()
    assert 0 < fine < coarse


def test_sampled_sensors_stay_in_their_ranges() -> None:
    for seed in range(50):
        sensor = sample_sensor(np.random.default_rng(seed))
        assert all(0.85 <= g <= 1.15 for g in sensor.gains)
        assert 30 <= sensor.quality <= 100
        assert sensor.exposure <= 0.08


@pytest.mark.parametrize("name", list(TEXTURES))
def test_textures_lie_between_their_colours(name: str) -> None:
    picture = paint(name, 3, (0.2, 0.4, 0.6), (0.8, 0.5, 0.1))
    assert picture.shape == (SIDE, SIDE, 3)
    for channel, (low, high) in enumerate(((51, 204), (102, 128), (26, 153))):
        assert low <= picture[..., channel].min()
        assert picture[..., channel].max() <= high
    assert np.array_equal(picture, paint(name, 3, (0.2, 0.4, 0.6), (0.8, 0.5, 0.1)))
    assert not np.array_equal(picture, paint(name, 4, (0.2, 0.4, 0.6), (0.8, 0.5, 0.1)))
