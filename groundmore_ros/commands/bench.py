# SPDX-License-Identifier: Apache-2.0
"""``groundmore bench``: measurements on this machine."""

import json
import os
from pathlib import Path
from typing import Any

import typer

from groundmore_ros.commands.options import (
    DecoderOption,
    DeviceOption,
    EncoderOption,
    LoadOption,
    how_to_load,
    prepare_file,
)
from groundmore_ros.commands.ros import keep_to_this_machine, require_ros
from groundmore_ros.errors import GroundmoreError

__all__ = ["register"]

TRANSPORTS = ("compressed", "raw")

bench_app = typer.Typer(no_args_is_help=True, help="Measure on this machine.")


def register(app: typer.Typer) -> None:
    """Add the subcommands."""
    app.add_typer(bench_app, name="bench")


@bench_app.command(name="node")
def node(
    seconds: float = typer.Option(30.0, min=5.0, help="How long each camera runs (s)."),
    transport: str = typer.Option("both", help="compressed, raw or both."),
    model: str = typer.Option("mora-nano", help="A folder, a shipped model, or a cached hub id."),
    out: Path = typer.Option(None, help="JSON file for the figures."),
) -> None:
    """A 1280x720 camera at 30 Hz while questions never stop: compressed, then raw."""
    kinds = TRANSPORTS if transport == "both" else (transport,)
    if not set(kinds) <= set(TRANSPORTS):
        raise GroundmoreError(f"--transport is {transport!r}; expected compressed, raw or both")
    require_ros()
    prepare_file(out)
    keep_to_this_machine()
    from groundmore_ros.ros.bench import bench_node

    reports = [bench_node(kind, seconds, model).report() for kind in kinds]
    _write(out, {"cores": os.cpu_count(), "runs": reports})
    _print(reports)


@bench_app.command(name="question")
def question(
    model: str = typer.Option("mora-nano", help="A folder, a shipped model, or a cached hub id."),
    frames: int = typer.Option(16, min=1, help="Frames of the clip."),
    repeats: int = typer.Option(3, min=1, help="Times each; medians are told."),
    device: DeviceOption = "auto",
    encoder: EncoderOption = "torch",
    decoder: DecoderOption = "torch",
    load: LoadOption = [],  # noqa: B006 - typer copies it
    out: Path = typer.Option(None, help="JSON file for the figures."),
) -> None:
    """A question about a clip of 1280x720: as the originals do it, anew, and from kept features."""
    prepare_file(out)
    from groundmore_ros.mora import Mora
    from groundmore_ros.mora.bench import bench_question

    mora = Mora.from_pretrained(model, **how_to_load(device, encoder, decoder, load))
    rows = bench_question(mora, frames, repeats)
    _write(out, {"cores": os.cpu_count(), "runs": rows})
    _print(rows)


@bench_app.command(name="loading")
def loading(
    model: str = typer.Option("mora-nano", help="A folder, a shipped model, or a cached hub id."),
    dtype: str = typer.Option("auto", help="auto (as stored), float32, bfloat16 or float16."),
    out: Path = typer.Option(None, help="JSON file for the figures."),
) -> None:
    """Peak memory of loading a model, against what it holds when it is loaded."""
    prepare_file(out)
    from groundmore_ros.mora.bench import bench_loading
    from groundmore_ros.mora.zoo import resolve_model

    figures = bench_loading(resolve_model(model), dtype)
    _write(out, figures)
    _print([figures])


@bench_app.command(name="metrics")
def metrics(
    repeats: int = typer.Option(15, min=1, help="Times each; medians are told."),
    out: Path = typer.Option(None, help="JSON file for the figures."),
) -> None:
    """J and F against their plain form, for masks of all kinds."""
    prepare_file(out)
    from rich.console import Console
    from rich.table import Table

    from groundmore_ros.evaluation.bench import bench_metrics

    rows = bench_metrics(repeats)
    _write(out, {"cores": os.cpu_count(), "runs": rows})
    table = Table(*rows[0], title="J and F of one frame")
    for row in rows:
        table.add_row(*(f"{v:.2f}" if isinstance(v, float) else str(v) for v in row.values()))
    Console().print(table)


def _write(out: Path | None, figures: dict[str, Any]) -> None:
    if out:
        out.write_text(json.dumps(figures, indent=1) + "\n")


def _print(reports: list[dict[str, Any]]) -> None:
    """A column for each report, headed by its name, where it has one."""
    from rich.console import Console
    from rich.table import Table

    heads = [next((v for v in r.values() if isinstance(v, str)), "") for r in reports]
    table = Table("", *heads, title=f"{os.cpu_count()} cores")
    for name, first in reports[0].items():
        if not isinstance(first, str):
            cells = (r[name] for r in reports)
            table.add_row(name, *(f"{c:.3g}" if isinstance(c, float) else str(c) for c in cells))
    Console().print(table)
