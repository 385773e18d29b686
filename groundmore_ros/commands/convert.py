# SPDX-License-Identifier: Apache-2.0
"""``groundmore convert``: a checkpoint as safetensors in our layout."""

from pathlib import Path

import typer

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the subcommand."""
    app.command(name="convert")(convert)


def convert(
    model: str = typer.Argument(..., help="A folder, a cached hub id, or SAM's own .pth file."),
    out: Path = typer.Argument(..., help="Folder to write."),
    dtype: str = typer.Option("auto", help="auto (as stored), float32, bfloat16 or float16."),
    vision_tower: str = typer.Option(None, help="The CLIP tower of a model in LISA's layout."),
    conversation: str = typer.Option(None, help="llava_v1 or llava_llama_2."),
    strict: bool = typer.Option(True, help="Refuse weights that the model has no place for."),
) -> None:
    """Rewrite a checkpoint of LISA's layout, tower included, or one of SAM's authors."""
    from groundmore_ros.mora.conversion import convert as convert_model
    from groundmore_ros.mora.conversion import convert_sam
    from groundmore_ros.mora.loading import LoadOptions
    from groundmore_ros.mora.zoo import resolve_model

    if Path(model).suffix == ".pth":
        convert_sam(Path(model), out)
    else:
        options = LoadOptions(
            dtype=dtype, vision_tower=vision_tower, conversation=conversation, strict=strict
        )
        convert_model(resolve_model(model), out, options)
    typer.echo(f"{out} is ready")
