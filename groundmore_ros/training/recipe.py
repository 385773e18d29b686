# SPDX-License-Identifier: Apache-2.0
"""Recipes: YAML files that say how a model is trained; one may be based on another."""

from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from groundmore_ros.errors import GroundmoreError
from groundmore_ros.simulation.settings import TRAIN_SEEDS, VALIDATION_SEEDS

__all__ = ["load_recipe"]


def load_recipe(name: str) -> dict[str, Any]:
    """A recipe by name, or from a YAML file.

    Raises:
        GroundmoreError: there is no such recipe, or its seeds are not for what it uses them for.
    """
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        folder = resources.files("groundmore_ros.training") / "recipes"
        path = Path(str(folder / f"{name}.yaml"))
        known = sorted(p.name.removesuffix(".yaml") for p in folder.iterdir())
        if not path.is_file():
            raise GroundmoreError(f"no recipe {name!r}; there are: {', '.join(known)}")
    recipe: dict[str, Any] = yaml.safe_load(path.read_text())
    if "base" in recipe:
        recipe = _merged(load_recipe(recipe.pop("base")), recipe)
    for part, allowed in (("seeds", TRAIN_SEEDS), ("validation", VALIDATION_SEEDS)):
        first, last = recipe.get("data", {}).get(part, (allowed.start, allowed.stop))
        if not allowed.start <= first <= last <= allowed.stop:
            raise GroundmoreError(
                f"{part} is {first} to {last}, which must lie in {allowed.start} to {allowed.stop}"
            )
    return recipe


def _merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """A recipe with changes, branch by branch of its tree."""
    merged = dict(base)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(base.get(key), dict)
        merged[key] = _merged(base[key], value) if both else value
    return merged
