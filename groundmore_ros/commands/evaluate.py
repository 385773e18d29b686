# SPDX-License-Identifier: Apache-2.0
"""``groundmore evaluate``: the exam on simulated episodes."""

import json
import os
from pathlib import Path
from typing import Any

import typer

from groundmore_ros.commands.options import prepare_file, seed_range
from groundmore_ros.commands.progress import progress_bar

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the subcommand."""
    app.command(name="evaluate")(evaluate)


def evaluate(
    seeds: str = typer.Argument(
        "2000000:2000500", help="Simulated episodes, FIRST:END. From 2000000: unseen by training."
    ),
    model: str = typer.Option("mora-nano", help="A folder, a shipped model, or a cached hub id."),
    workers: int = typer.Option(os.cpu_count() or 1, min=1, help="Processes."),
    out: Path = typer.Option(None, help="JSON file for the figures and every question's mark."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Examine a model on simulated episodes, beside trivial rules."""
    from groundmore_ros.evaluation.exam import as_rows, examine, report
    from groundmore_ros.mora.zoo import resolve_model

    prepare_file(out)
    resolve_model(model)
    chosen = seed_range(seeds)
    with progress_bar("episodes", len(chosen)) as advance:
        marks = examine(model, chosen, workers, advance)
    figures = report(marks)
    if out:
        out.write_text(json.dumps({"report": figures, "marks": as_rows(marks)}, indent=1) + "\n")
    if as_json:
        typer.echo(json.dumps(figures, indent=1))
    else:
        _print(figures)


def _print(figures: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    columns = ("right object", "J", "J inside the span", "temporal IoU")
    rules = ("random", "largest motion", "fastest not named")
    title = (
        f"{figures['questions']} questions about {figures['episodes']} episodes (95 % intervals)"
    )
    table = Table("questions", "n", *columns, *rules, title=title)
    for name, row in figures["types"].items():
        if "right object" in row:
            cells = [f"{row[c][0]:.3f} ({row[c][1]:.2f}-{row[c][2]:.2f})" for c in columns]
            table.add_row(
                name, str(row["with target"]), *cells, *(f"{row['rules'][r]:.2f}" for r in rules)
            )
    console = Console()
    console.print(table)
    nothing = figures["nothing"]
    if nothing["questions"]:
        console.print(
            f"no right answer: said so {nothing['said so']:.0%} of {nothing['questions']}; "
            f"false refusals {nothing['false refusals']:.1%}"
        )
