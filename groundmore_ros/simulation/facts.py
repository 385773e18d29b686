# SPDX-License-Identifier: Apache-2.0
"""What is true of each body, in numbers of about unit size: what questions are about, for training.

A question tells of one body at most; these tell of all.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from groundmore_ros.simulation.motion import Motion
from groundmore_ros.simulation.world import TALL_SHAPES, Body

__all__ = ["FACTS", "facts"]

# Units of the facts: m, m/s, rad; start and stop of a body's motions are shares of the clip, and
# whether it leaves or enters is yes or no.
FACTS = {
    "right": 0.2,
    "back": 0.2,
    "up": 0.2,
    "path": 0.4,
    "speed": 0.5,
    "rise": 0.1,
    "drop": 0.1,
    "tilt": np.pi / 2,
    "start": 1.0,
    "stop": 1.0,
    "leaves": 1.0,
    "enters": 1.0,
}
MOST = 3.0  # units; what was flung away is not told from what was flung farther


def facts(motion: Motion, bodies: Sequence[Body], duration: float) -> NDArray[np.float32]:
    """The facts of K bodies (K, F), in the order and units of :data:`FACTS`.

    Args:
        motion: of the clip.
        bodies: K of them. What is not tall has no tilt: few would see it.
        duration: of the clip, s. A body that never moves starts and stops at its end.
    """
    starts = [s[0].start if s else duration for s in motion.segments]
    stops = [s[-1].end if s else duration for s in motion.segments]
    tall = np.array([b.shape in TALL_SHAPES for b in bodies])
    columns = [
        *motion.shift.T,
        motion.path,
        motion.peak_speed,
        motion.rise,
        motion.drop,
        np.where(tall, motion.tilt, 0),
        np.array(starts) / duration,
        np.array(stops) / duration,
        motion.leaves,
        motion.enters,
    ]
    measured = np.stack(columns, axis=1) / np.array(list(FACTS.values()))
    return np.clip(measured, -MOST, MOST).astype(np.float32)
