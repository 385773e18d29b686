# SPDX-License-Identifier: Apache-2.0
"""``groundmore info``: what a model is made of."""

import json
from pathlib import Path

import typer

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the subcommand."""
    app.command(name="info")(info)


def info(
    model: str = typer.Argument("mora-nano", help="A folder, a shipped model, or a cached hub id."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Show a model's parts and their sizes."""
    from groundmore_ros.mora import Mora

    mora = Mora.from_pretrained(model)
    parts = {
        name: {
            "parameters": sum(p.numel() for p in part.parameters()),
            "bytes": sum(p.numel() * p.element_size() for p in part.parameters()),
        }
        for name, part in mora.model.named_children()
    }
    if as_json:
        typer.echo(json.dumps({"model": mora.name, "parts": parts}, indent=1))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("part", "parameters", "bytes", title=str(Path(model).name))
    for name, sizes in parts.items():
        table.add_row(name, f"{sizes['parameters']:,}", f"{sizes['bytes']:,}")
    total = [sum(sizes[k] for sizes in parts.values()) for k in ("parameters", "bytes")]
    table.add_section()
    table.add_row("all", *(f"{t:,}" for t in total))
    Console().print(table)
