# SPDX-License-Identifier: Apache-2.0
"""Machines that engines are built for, a file each."""

from pathlib import Path

import yaml

from groundmore_ros.errors import ModelError
from groundmore_ros.mora.backends.graph import DECODER, ENCODER, Part
from groundmore_ros.mora.backends.tensorrt import Profile

__all__ = ["load_target", "target_names"]

_FOLDER = Path(__file__).parent / "targets"


def target_names() -> list[str]:
    """The names of all targets."""
    return sorted(f.stem for f in _FOLDER.glob("*.yaml"))


def load_target(name: str, part: Part) -> Profile:
    """A target by its name, or from a file, for one part.

    Raises:
        ModelError: there is none, or it is damaged.
    """
    path = _FOLDER / f"{name}.yaml" if name in target_names() else Path(name)
    try:
        values = yaml.safe_load(path.read_text())
        frames = {p.name: tuple(int(n) for n in values.pop(p.name)) for p in (ENCODER, DECODER)}
        return Profile(path.stem, name, frames[part.name], **values)  # type: ignore[arg-type]
    except (OSError, ValueError, TypeError, KeyError, AttributeError, yaml.YAMLError) as error:
        raise ModelError(
            f"target {name!r} cannot be read ({error}); expected a file with encoder and decoder, "
            f"or one of {', '.join(target_names())}"
        ) from error
