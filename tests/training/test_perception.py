# SPDX-License-Identifier: Apache-2.0
import numpy as np
import torch

from groundmore_ros.training.data import PLACE_UNIT, UNNAMED, FrameSample
from groundmore_ros.training.perception import collate


def _sample(looks: list[list[int]]) -> FrameSample:
    """Two frames with two objects; the second object is too small to be looked for in the first."""
    masks = np.zeros((2, 12, 16), np.uint8)
    masks[:, 2:6, 2:6] = 1
    masks[0, 8:9, 8:10] = 2
    masks[1, 8:11, 8:12] = 2
    places = np.arange(12, dtype=np.float32).reshape(2, 2, 3)
    upright = np.array([[0.1, 0.2], [0.3, 0.4]], np.float32)
    return FrameSample(
        np.zeros((2, 12, 16, 3), np.uint8), masks, torch.tensor(looks), places, upright
    )


def test_batches_hold_what_is_seen_and_its_pose() -> None:
    named, unnamed = _sample([[1, 2], [3, 4]]), _sample([[UNNAMED] * 2] * 2)
    batch = collate([named, unnamed], 16, np.random.default_rng(0))
    assert batch.frame.tolist() == [0, 1, 1, 2, 3, 3]
    assert batch.looks[:3].tolist() == [[1, 2], [1, 2], [3, 4]]
    assert (batch.looks[3:] == UNNAMED).all()
    assert batch.identity.tolist() == [1, 1, 2, 101, 101, 102]
    # Object 1 in both frames, object 2 in the second: y and z of its place, and how upright.
    wanted = [[1 / PLACE_UNIT, 2 / PLACE_UNIT, 0.1], [7 / PLACE_UNIT, 8 / PLACE_UNIT, 0.3],
              [10 / PLACE_UNIT, 11 / PLACE_UNIT, 0.4]]  # fmt: skip
    assert torch.allclose(batch.pose[:3], torch.tensor(wanted))
    assert torch.allclose(batch.box[0], torch.tensor([4, 4, 4, 4]) / 16)
