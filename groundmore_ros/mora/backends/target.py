# SPDX-License-Identifier: Apache-2.0
"""Machines that engines are built for, a file each."""

from pathlib import Path

import yaml

from groundmore_ros.errors import ModelError
from groundmore_ros.mora.backends.tensorrt import Profile

__all__ = ["load_target", "target_names"]

_FOLDER = Path(__file__).parent / "targets"


def target_names() -> list[str]:
    """The names of all targets."""
    return sorted(f.stem for f in _FOLDER.glob("*.yaml"))


def load_target(name: str) -> Profile:
    """A target by its name, or from a file.

    Raises:
        ModelError: there is none, or it is damaged.
    """
    path = _FOLDER / f"{name}.yaml" if name in target_names() else Path(name)
    try:
        values = yaml.safe_load(path.read_text())
        frames = tuple(int(n) for n in values.pop("frames"))
        return Profile(path.stem, frames, **values)  # type: ignore[arg-type]
    except (OSError, ValueError, TypeError, KeyError, AttributeError, yaml.YAMLError) as error:
        raise ModelError(
            f"target {name!r} cannot be read ({error}); expected a file with frames, or one of "
            f"{', '.join(target_names())}"
        ) from error
