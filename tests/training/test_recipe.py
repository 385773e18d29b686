# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest
import yaml

from groundmore_ros.errors import GroundmoreError
from groundmore_ros.mora import MoraConfig
from groundmore_ros.training.nano import NanoTraining, load_recipe


def test_the_shipped_recipe_is_the_shipped_model() -> None:
    recipe = load_recipe("nano")
    shipped = MoraConfig.from_pretrained(Path(__file__).parents[2] / "models" / "mora-nano")
    for name, value in recipe["model"].items():
        if not name.endswith("_config"):
            assert getattr(shipped, name) == value, name


def test_unknown_recipes_name_the_known_ones() -> None:
    with pytest.raises(GroundmoreError, match="there are: nano"):
        load_recipe("giant")


def test_test_seeds_cannot_be_trained_on(tmp_path: Path) -> None:
    recipe = load_recipe("nano")
    recipe["data"]["seeds"] = [1_999_000, 2_000_001]
    path = tmp_path / "bad.yaml"
    path.write_text(yaml.safe_dump(recipe))
    with pytest.raises(GroundmoreError, match="seeds from 2,000,000 are for tests"):
        load_recipe(str(path))


def test_the_whole_recipe_runs_and_resumes(tmp_path: Path) -> None:
    """Every stage on a handful of episodes and steps; a second run finds all of it done."""
    recipe = load_recipe("nano")
    recipe["data"] |= {"seeds": [60, 63], "validation": [1_000_000, 1_000_002]}
    recipe["perception"] |= {"steps": 2, "batch": 1, "drawn": 2}
    recipe["drawing"] |= {"steps": 2, "batch": 1, "drawn": 2}
    recipe["reasoning"] |= {"steps": 2, "batch": 2, "evaluate_every": 2}
    assert NanoTraining(recipe, tmp_path).run()
    weights = (tmp_path / "model" / "model.safetensors").read_bytes()
    assert NanoTraining(recipe, tmp_path).run()
    assert (tmp_path / "model" / "model.safetensors").read_bytes() == weights
