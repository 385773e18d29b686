# SPDX-License-Identifier: Apache-2.0
"""``groundmore info``: what a model is made of, and what it needs."""

import json

import typer

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the subcommand."""
    app.command(name="info")(info)


def info(
    model: str = typer.Argument(
        "mora-nano", help="A folder, a shipped model, a cached hub id, or a published model's name."
    ),
    dtype: str = typer.Option("auto", help="auto, float32, bfloat16 or float16."),
    quantization: str = typer.Option(None, help="4bit or 8bit, of the language model."),
    vision_tower: str = typer.Option(None, help="The CLIP tower of a model in LISA's layout."),
    clip_frames: int = typer.Option(16, min=1, help="Frames of a clip."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Show a model's parts, their sizes, and the memory that a clip of 1280x720 frames needs.

    No weights are read, and published models need not be on this machine.
    """
    from groundmore_ros.mora.loading import LoadOptions
    from groundmore_ros.mora.published import find_config
    from groundmore_ros.mora.sizes import measure

    options = LoadOptions(dtype=dtype, quantization=quantization, vision_tower=vision_tower)
    sizes = measure(find_config(model, options), options, clip_frames=clip_frames)
    if as_json:
        parts = {p.name: {"parameters": p.parameters, "bytes": p.bytes} for p in sizes.parts}
        needs = {k: v for k, v in sizes._asdict().items() if k != "parts"}
        needs |= {"weights": sizes.weights, "total": sizes.total}
        typer.echo(json.dumps({"model": model, "parts": parts, "memory": needs}, indent=1))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("part", "parameters", "bytes", title=model)
    for column in table.columns[1:]:
        column.justify = "right"
    for part in sizes.parts:
        table.add_row(part.name, f"{part.parameters:,}", f"{part.bytes:,}")
    table.add_section()
    table.add_row("weights", f"{sum(p.parameters for p in sizes.parts):,}", f"{sizes.weights:,}")
    table.add_row(f"features of {clip_frames} frames", "", f"{sizes.clip:,}")
    table.add_row("keys and values of a question", "", f"{sizes.cache:,}")
    table.add_row("mask logits of an object", "", f"{sizes.masks:,}")
    table.add_section()
    table.add_row("together, at least", "", f"{sizes.total:,}")
    Console().print(table)
