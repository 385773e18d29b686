# SPDX-License-Identifier: Apache-2.0
import numpy as np
import torch
from conftest import tiny_mora

from groundmore_ros.training.cache import _small
from groundmore_ros.training.reasoning import _patches


def test_training_and_answering_see_the_same_patches() -> None:
    """What is cached for training gives the features that answering computes from the frame."""
    mora = tiny_mora(clip_crop="pad")
    frames = np.random.default_rng(0).integers(0, 255, (3, 48, 64, 3), np.uint8)
    pictures = torch.from_numpy(_small(frames, mora.config.vision_config.image_size))
    with torch.no_grad():
        trained = _patches(mora.model, pictures[None])[0]
    for k, frame in enumerate(frames):
        assert torch.allclose(mora.encode(frame).features.patches, trained[k], atol=1e-4)
