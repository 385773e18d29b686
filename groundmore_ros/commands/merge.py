# SPDX-License-Identifier: Apache-2.0
"""``groundmore merge``: a fine-tuning's last checkpoint as a whole model."""

from pathlib import Path

import typer

from groundmore_ros.errors import MissingDependencyError

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the subcommand."""
    app.command(name="merge")(merge)


def merge(
    run: Path = typer.Argument(..., help="Folder of a fine-tuning, finished or not."),
    out: Path = typer.Argument(..., help="Folder of the model to write."),
) -> None:
    """Write the model of a run's last checkpoint, its adapters merged into its weights."""
    try:
        from groundmore_ros.training.finetuning import merge_run
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f"{error.name} is missing: pip install 'groundmore[train]'"
        ) from error
    step = merge_run(run, out)
    typer.echo(f"{out} is ready: {run} after {step} steps")
