# SPDX-License-Identifier: Apache-2.0
"""Prints the figures of an evaluation."""

from typing import Any

from rich.console import Console
from rich.table import Table

__all__ = ["print_figures"]

COLUMNS = ("J", "F", "J&F", "J&F inside", "J&F union", "temporal IoU", "right object")
WIDTH = 140  # columns that the table needs


def print_figures(summary: dict[str, Any]) -> None:
    """Print a summary of ``evaluation.summary``, with the baselines beside it."""
    console = Console()
    wide = console if console.width >= WIDTH else Console(width=WIDTH)
    wide.print(_table(summary))
    for tag, row in summary["tags"].items():
        wide.print(f"{tag}: right object {_cell(row['right object'])} of {row['with target']}")
    nothing = summary["nothing"]
    if nothing["questions"]:
        wide.print(
            f"nothing is right in {nothing['questions']}: said so {_cell(nothing['said so'])}, "
            f"false refusals {_cell(nothing['false refusals'])}"
        )
    calibration = summary["calibration"]
    if calibration:
        wide.print(f"expected calibration error of scores: {calibration['expected error']:.3f}")
    if summary["without truth"]:
        wide.print(f"{summary['without truth']} questions have no true masks to compare with")


def _table(summary: dict[str, Any]) -> Table:
    title = (
        f"{summary['dataset']}: {summary['questions']} questions about {summary['videos']} videos, "
        f"{summary['failed']} failed (95 % intervals)"
    )
    table = Table("questions", "n", *COLUMNS, title=title)
    for name, row in summary["groups"].items():
        table.add_row(name, str(row["questions"]), *(_cell(row[c]) for c in COLUMNS))
    whole = summary["groups"]["motion" if "motion" in summary["groups"] else "all"]
    for name, row in whole["baselines"].items():
        table.add_row(f"[dim]{name}[/]", "", *(_number(row[c]) for c in COLUMNS), style="dim")
    return table


def _cell(figure: list[float] | None) -> str:
    return "-" if figure is None else f"{figure[0]:.3f} ({figure[1]:.2f}-{figure[2]:.2f})"


def _number(figure: float | None) -> str:
    return "-" if figure is None else f"{figure:.3f}"
