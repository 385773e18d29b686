# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import numpy as np
import pytest
from lisa_layout import write_lisa

from groundmore_ros.mora import Mora
from groundmore_ros.mora.loading import LoadOptions
from groundmore_ros.mora.published import PUBLISHED, published_config
from groundmore_ros.mora.sizes import measure

FRAME = np.zeros((60, 80, 3), np.uint8)


def test_weights_and_features_are_those_of_the_loaded_model(nano: Mora, tmp_path: Path) -> None:
    for mora in (nano, Mora.from_pretrained(write_lisa(tmp_path))):
        sizes = measure(mora.config, LoadOptions(), clip_frames=4)
        assert sizes.weights == sum(p.nbytes for p in mora.model.parameters())
        assert sizes.frame == mora.encode(FRAME).nbytes
        assert sizes.clip == 4 * sizes.frame


def test_published_models_take_what_their_parts_add_up_to() -> None:
    config = published_config("xinlai/LISA-7B-v1")
    assert config is not None
    sizes = measure(config, LoadOptions())
    parts = {p.name: p.parameters for p in sizes.parts}
    assert parts["language_model"] + parts["lm_head"] == 6_738_448_384
    assert parts["segmenter"] == pytest.approx(641.1e6, abs=5e4)
    assert sizes.weights == pytest.approx(16.69e9, rel=1e-3)
    four = measure(config, LoadOptions(quantization="4bit", dtype="float16"))
    assert four.weights < 0.4 * sizes.weights
    assert measure(config, LoadOptions(), clip_frames=32).clip == 2 * sizes.clip


def test_every_published_name_has_a_configuration() -> None:
    assert all(published_config(name) is not None for name in PUBLISHED)
    assert published_config("nobody/nothing") is None
