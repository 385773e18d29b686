# SPDX-License-Identifier: Apache-2.0
import numpy as np

from groundmore_ros.training.collage import HELD_OUT_PHOTOS, TRAIN_PHOTOS, collage
from groundmore_ros.training.data import UNNAMED


def test_collages_are_pictures_with_masks_and_without_names() -> None:
    for seed in range(12):
        sample = collage(np.random.default_rng(seed), 3, (60, 80), held_out=seed % 2 == 0)
        assert sample.frames.shape == (3, 60, 80, 3)
        assert sample.masks.shape == (3, 60, 80)
        assert sample.frames.dtype == sample.masks.dtype == np.uint8
        assert 2 <= len(sample.looks) <= 6
        assert (sample.looks == UNNAMED).all()
        assert sample.masks.max() <= len(sample.looks)
        assert sample.frames.std() > 5


def test_the_same_seed_gives_the_same_collage() -> None:
    one, two = (collage(np.random.default_rng(4), 2, (60, 80)) for _ in range(2))
    assert np.array_equal(one.frames, two.frames)
    assert np.array_equal(one.masks, two.masks)


def test_no_photograph_is_both_trained_on_and_held_out() -> None:
    assert not set(TRAIN_PHOTOS) & set(HELD_OUT_PHOTOS)
