# SPDX-License-Identifier: Apache-2.0
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from conftest import small_teacher, tiny_mora

from groundmore_ros.errors import GroundmoreError
from groundmore_ros.mora import Mora, MoraConfig
from groundmore_ros.mora.modeling import MoraForCausalLM
from groundmore_ros.training.nano import NanoTraining
from groundmore_ros.training.recipe import load_recipe
from groundmore_ros.training.teacher import Teacher

SHIPPED = Path(__file__).parents[2] / "models" / "mora-nano"


def test_the_shipped_recipe_is_the_shipped_model() -> None:
    recipe = load_recipe("nano")
    shipped = MoraConfig.from_pretrained(SHIPPED)
    for name, value in recipe["model"].items():
        if not name.endswith("_config"):
            assert getattr(shipped, name) == value, name


def test_unknown_recipes_name_the_known_ones() -> None:
    with pytest.raises(GroundmoreError, match="there are: finetune, .*nano"):
        load_recipe("giant")


@pytest.mark.parametrize(
    ("part", "seeds"),
    [
        ("seeds", [1_999_000, 2_000_001]),
        ("seeds", [999_000, 1_000_001]),
        ("validation", [0, 10]),
        ("validation", [1_009_000, 2_000_001]),
    ],
)
def test_seeds_serve_what_they_are_for_alone(part: str, seeds: list[int], tmp_path: Path) -> None:
    recipe = load_recipe("nano")
    recipe["data"][part] = seeds
    path = tmp_path / "bad.yaml"
    path.write_text(yaml.safe_dump(recipe))
    with pytest.raises(GroundmoreError, match=f"{part} is {seeds[0]} to {seeds[1]}, which must"):
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
    recipe["reasoning"] |= {"steps": 2, "batch": 2, "read": 4, "evaluate_every": 2}
    recipe["refining"] |= {"steps": 2}
    recipe["finishing"] |= {"steps": 2}
    recipe["words"] |= {"steps": 2, "batch": 2, "lessons": 6, "wordings": 6}
    return recipe


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a whole run of the recipe nano."""
    folder = tmp_path_factory.mktemp("nano")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Teacher, "load", small_teacher)
        assert NanoTraining(_short("nano"), folder).run()
    return folder


def test_a_second_run_finds_all_stages_done(finished: Path) -> None:
    weights = (finished / "model" / "model.safetensors").read_bytes()
    assert NanoTraining(_short("nano"), finished).run()
    assert (finished / "model" / "model.safetensors").read_bytes() == weights


def test_the_model_is_the_mean_of_its_last_two_rounds(finished: Path) -> None:
    model = MoraForCausalLM.from_pretrained(finished / "model").state_dict()
    rounds = [
        torch.load(finished / f"{name}.pt", weights_only=True)["module"]
        for name in ("refining", "finishing")
    ]
    part = "object_reasoner"
    reasoner = [k for k in model if k.startswith(part) and model[k].is_floating_point()]
    assert reasoner
    for key in reasoner:
        first, second = (state[f"model.{key}"] for state in rounds)
        assert torch.equal(model[key], (first + second) / 2)
    assert any(not torch.equal(rounds[0][f"model.{k}"], model[k]) for k in reasoner)


@pytest.mark.parametrize("name", ABLATIONS)
def test_ablations_use_the_perception_of_a_run(name: str, finished: Path, tmp_path: Path) -> None:
    assert NanoTraining(_short(name), tmp_path, perception=finished).run()
    mora = Mora.from_pretrained(tmp_path / "model")
    frames = [np.zeros((120, 160, 3), np.uint8)] * 2
    assert mora.answer(frames, [0.0, 0.2], "Which object falls?").masks.shape == (2, 120, 160)


def test_ablations_differ_from_their_base_in_the_model_alone() -> None:
    base = load_recipe("nano")
    for name in ABLATIONS:
        recipe = load_recipe(name)
        assert recipe.keys() == base.keys()
        assert [k for k in base if recipe[k] != base[k]] == ["model"]


def test_a_run_is_gone_on_with_by_its_own_recipe(finished: Path) -> None:
    other = _short("nano")
    other["finishing"] |= {"steps": 3}
    with pytest.raises(GroundmoreError, match=r"other settings of finishing; .*recipe\.json"):
        NanoTraining(other, finished).run()


def test_what_an_earlier_version_did_not_make_is_made(finished: Path) -> None:
    lessons = (finished / "lessons.pt").read_bytes()
    (finished / "wordings.json").unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Teacher, "load", small_teacher)
        assert NanoTraining(_short("nano"), finished).teach()
    assert (finished / "lessons.pt").read_bytes() == lessons
    assert (finished / "wordings.json").exists()


@pytest.mark.parametrize("averaged", [[], ["refining", "polishing"]])
def test_rounds_to_average_have_to_be_there(averaged: list[str], tmp_path: Path) -> None:
    with pytest.raises(GroundmoreError, match=r"averaged is \[.*\], not some of \['reasoning'"):
        NanoTraining(load_recipe("nano") | {"averaged": averaged}, tmp_path)


def test_perception_can_only_be_taken_from_a_run_that_has_it(tmp_path: Path) -> None:
    with pytest.raises(GroundmoreError, match="holds no data; train it that far first"):
        NanoTraining(load_recipe("nano"), tmp_path / "run", perception=tmp_path / "other")


def test_the_perception_of_a_model_is_used_as_it_is(finished: Path, tmp_path: Path) -> None:
    # What takes long, and is tested with the whole run.
    for part in ("data", "cache", "lessons.pt", "wordings.json"):
        (tmp_path / part).symlink_to(finished / part)
    shipped = MoraForCausalLM.from_pretrained(SHIPPED)
    assert NanoTraining(_short("nano-without-loc"), tmp_path, perception=SHIPPED).run()
    trained = MoraForCausalLM.from_pretrained(tmp_path / "model")
    for part in ("segmenter", "object_queries"):
        expected = getattr(shipped, part).state_dict()
        for name, value in getattr(trained, part).state_dict().items():
            assert torch.equal(value, expected[name]), name
    assert not (tmp_path / "perception.pt").exists()


def test_the_perception_of_another_size_is_refused(tmp_path: Path) -> None:
    tiny_mora().model.save_pretrained(tmp_path / "tiny")
    run = NanoTraining(_short("nano"), tmp_path / "run", perception=tmp_path / "tiny")
    with pytest.raises(GroundmoreError, match="tiny is not of the recipe's sizes"):
        run.run()
