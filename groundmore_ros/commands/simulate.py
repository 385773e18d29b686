# SPDX-License-Identifier: Apache-2.0
"""``groundmore simulate``: physics episodes as bags or arrays."""

import os
from enum import StrEnum
from pathlib import Path

import typer

from groundmore_ros.commands.progress import progress_bar
from groundmore_ros.seeds import seed_range

__all__ = ["register"]


class Format(StrEnum):
    """How episodes are written."""

    bag = "bag"
    arrays = "arrays"


def register(app: typer.Typer) -> None:
    """Add the subcommand."""
    app.command(name="simulate")(simulate)


def simulate(
    out: Path = typer.Argument(..., help="Folder for the episodes; is created."),
    seeds: str = typer.Option("0:10", help="FIRST:END, or one seed. From 2000000: tests only."),
    form: Format = typer.Option(Format.bag, "--format", help="bag: MCAP; arrays: for training."),
    workers: int = typer.Option(os.cpu_count() or 1, min=1, help="Processes."),
    frames: int = typer.Option(16, help="Frames of an episode."),
    rate: float = typer.Option(5.0, help="Frames a second (Hz)."),
    width: int = typer.Option(160, help="Pixels."),
    height: int = typer.Option(120, help="Pixels."),
    samples: bool = typer.Option(
        False, "--samples", help="Write the first test seeds that hold all four question types."
    ),
) -> None:
    """Simulate episodes with exact masks, spans, questions and answers."""
    from groundmore_ros.simulation import recording, shards

    settings = {"frames": frames, "rate": rate, "width": width, "height": height}
    if samples:
        recording.write_samples(out)
        return
    chosen = seed_range(seeds)
    with progress_bar("episodes", len(chosen)) as advance:
        if form is Format.bag:
            recording.write_bags(out, chosen, settings, workers, advance)
        else:
            shards.write_shards(out, chosen, settings, workers, advance)
