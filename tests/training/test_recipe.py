# SPDX-License-Identifier: Apache-2.0
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from groundmore_ros.errors import GroundmoreError
from groundmore_ros.mora import Mora, MoraConfig
from groundmore_ros.training.nano import NanoTraining
from groundmore_ros.training.recipe import load_recipe


def test_the_shipped_recipe_is_the_shipped_model() -> None:
    recipe = load_recipe("nano")
    shipped = MoraConfig.from_pretrained(Path(__file__).parents[2] / "models" / "mora-nano")
    for name, value in recipe["model"].items():
        if not name.endswith("_config"):
            assert getattr(shipped, name) == value, name


def test_unknown_recipes_name_the_known_ones() -> None:
    with pytest.raises(GroundmoreError, match="there are: finetune, .*nano"):
        load_recipe("giant")


def test_test_seeds_cannot_be_trained_on(tmp_path: Path) -> None:
    recipe = load_recipe("nano")
    recipe["data"]["seeds"] = [1_999_000, 2_000_001]
    path = tmp_path / "bad.yaml"
    path.write_text(yaml.safe_dump(recipe))
    with pytest.raises(GroundmoreError, match="seeds from 2,000,000 are for tests"):
        load_recipe(str(path))


ABLATIONS = (
    "nano-without-loc",
    "nano-without-names",
    "nano-without-object-tokens",
    "nano-pooled-tokens",
)


def _short(name: str) -> dict[str, Any]:
    """A recipe on a handful of episodes and steps."""
    recipe = load_recipe(name)
    recipe["data"] |= {"seeds": [60, 63], "validation": [1_000_000, 1_000_002]}
    recipe["perception"] |= {"steps": 2, "batch": 1, "drawn": 2}
    recipe["drawing"] |= {"steps": 2, "batch": 1, "drawn": 2}
    recipe["reasoning"] |= {"steps": 2, "batch": 2, "evaluate_every": 2}
    return recipe


def test_the_whole_recipe_runs_and_resumes(tmp_path: Path) -> None:
    """A second run finds all stages done; ablations use the first one's perception."""
    recipe = _short("nano")
    assert NanoTraining(recipe, tmp_path).run()
    weights = (tmp_path / "model" / "model.safetensors").read_bytes()
    assert NanoTraining(recipe, tmp_path).run()
    assert (tmp_path / "model" / "model.safetensors").read_bytes() == weights
    for name in ABLATIONS:
        assert NanoTraining(_short(name), tmp_path / name, perception=tmp_path).run()
        mora = Mora.from_pretrained(tmp_path / name / "model")
        frames = [np.zeros((120, 160, 3), np.uint8)] * 2
        assert mora.answer(frames, [0.0, 0.2], "Which object falls?").masks.shape == (2, 120, 160)


def test_ablations_differ_from_their_base_in_the_model_alone() -> None:
    base = load_recipe("nano")
    for name in ABLATIONS:
        recipe = load_recipe(name)
        assert recipe.keys() == base.keys()
        assert [k for k in base if recipe[k] != base[k]] == ["model"]


def test_perception_can_only_be_taken_from_a_run_that_has_it(tmp_path: Path) -> None:
    with pytest.raises(GroundmoreError, match="holds no data; its perception is not trained yet"):
        NanoTraining(load_recipe("nano"), tmp_path / "run", perception=tmp_path / "other")
