# SPDX-License-Identifier: Apache-2.0
"""``groundmore fetch``: the one command that downloads."""

import json
from pathlib import Path

import typer

from groundmore_ros.errors import ModelError

__all__ = ["register"]

SMALL = ("*.json", "tokenizer.model", "*.txt")
SAFE, PICKLES = "*.safetensors", "*.bin"


def register(app: typer.Typer) -> None:
    """Add the subcommand."""
    app.command(name="fetch")(fetch)


def fetch(
    model: str = typer.Argument(..., help="A hub id, such as xinlai/LISA-7B-v1."),
    revision: str = typer.Option(None, help="A branch, tag or commit."),
) -> None:
    """Download a model and the CLIP tower that it needs, into the hub's cache; it resumes."""
    folder = _snapshot(model, revision)
    config = json.loads((folder / "config.json").read_text())
    tower = config.get("vision_tower") or config.get("mm_vision_tower")
    if tower and config.get("model_type") != "mora":
        _snapshot(tower, None)
    typer.echo(f"{model} is ready: {folder}")


def _snapshot(model: str, revision: str | None) -> Path:
    """Safetensors where there are any, else pickles, which are read with weights_only.

    Raises:
        ModelError: the hub cannot be reached, or has no such model.
    """
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

    try:
        names = HfApi().list_repo_files(model, revision=revision)
        weights = SAFE if any(n.endswith(".safetensors") for n in names) else PICKLES
        return Path(snapshot_download(model, revision=revision, allow_patterns=[*SMALL, weights]))
    except (HfHubHTTPError, HFValidationError, OfflineModeIsEnabled, OSError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(f"{model} cannot be fetched: {reason}") from error
