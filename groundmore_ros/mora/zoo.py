# SPDX-License-Identifier: Apache-2.0
"""Model names to folders."""

import re
from pathlib import Path

from groundmore_ros.errors import ModelError
from groundmore_ros.resources import find_resource

__all__ = ["resolve_model"]

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def resolve_model(name: str) -> Path:
    """The local folder of a model: a path, a shipped model, or the hub's cache; nothing is fetched.

    Raises:
        ModelError: it is nowhere on this machine.
    """
    path = Path(name).expanduser()
    if (path / "config.json").is_file():
        return path
    if name and not path.is_absolute():
        shipped = find_resource(f"models/{name}")
        if shipped is not None and (shipped / "config.json").is_file():
            return shipped
        cached = _cached(name)
        if cached is not None:
            return cached
    fetch = f"groundmore fetch {name}" if HUB_ID.fullmatch(name) else "groundmore fetch NAME"
    raise ModelError(
        f"no model {name!r} on this machine: expected a folder with config.json, the name of a "
        f"shipped model (mora-nano), or a model in the local hub cache ({fetch})"
    )


def _cached(name: str) -> Path | None:
    """The snapshot that holds a model's configuration.

    Not the whole repository: a download leaves out what is not needed, and then the hub's own look
    into its cache calls the snapshot incomplete.
    """
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(name, "config.json")
    except HFValidationError:
        return None
    return Path(found).parent if isinstance(found, str) else None
