# SPDX-License-Identifier: Apache-2.0
"""``groundmore export``: SAM's parts as ONNX files and TensorRT engines."""

import sys
from collections.abc import Callable
from pathlib import Path

import typer

from groundmore_ros.errors import GroundmoreError

__all__ = ["decoder_main", "encoder_main", "register"]

WHAT = {
    "decoder": "Export SAM's mask decoder: T frames with their prompts to T masks.",
    "encoder": "Export SAM's image encoder: T pictures to T embeddings.",
}
MODEL = typer.Option("mora-nano", help="A folder, a shipped model, or a cached hub id.")
TO = typer.Option("onnx", help="onnx, or tensorrt: the ONNX file and its engine.")
OUT = typer.Option(None, help="Folder; by default where the node looks for the model's files.")
OPSET = typer.Option(18, help="18, or 17 for older TensorRT.")
PRECISION = typer.Option("fp32", help="fp32, or mixed: float16 but for normalisations.")
TARGET = typer.Option("discrete", help="What the engine is for: a name or a file of your own.")
BUILD_ONLY = typer.Option(
    False, "--build-only", help="Build the engine of an ONNX file that is there; nothing else."
)


def register(app: typer.Typer) -> None:
    """Add the subcommands."""
    parts = typer.Typer(no_args_is_help=True, help="SAM's parts as ONNX files and engines.")
    for name, what in WHAT.items():
        parts.command(name=name, help=what)(_command(name))
    app.add_typer(parts, name="export")


def _command(name: str) -> Callable[..., None]:
    """The subcommand of one part."""

    def export(
        model: str = MODEL,
        to: str = TO,
        out: Path = OUT,
        opset: int = OPSET,
        precision: str = PRECISION,
        target: str = TARGET,
        build_only: bool = BUILD_ONLY,
    ) -> None:
        from groundmore_ros.export.exporting import ExportOptions, build, check_engine, export_onnx
        from groundmore_ros.mora.backends.graph import DECODER, ENCODER
        from groundmore_ros.mora.backends.opening import engine_folder

        if to not in ("onnx", "tensorrt"):
            raise GroundmoreError(f"--to is {to!r}; expected onnx or tensorrt")
        if build_only and to != "tensorrt":
            raise GroundmoreError(f"--build-only with --to {to}; expected --to tensorrt")
        part = {"decoder": DECODER, "encoder": ENCODER}[name]
        folder = out or engine_folder(model)
        if not build_only:
            options = ExportOptions(opset=opset, precision=precision)
            figures = export_onnx(model, part, folder, options).parity
            typer.echo(
                f"{folder / part.stem}.onnx: differs from torch by at most "
                f"{figures['largest_difference']:.1g}, mask IoU at least {figures['least_iou']:.4f}"
            )
        if to == "tensorrt":
            typer.echo(f"{build(part, folder, target)} is built")
            if not build_only:
                least = check_engine(model, part, folder, target)["least_iou"]
                typer.echo(f"mask IoU at least {least:.4f}")

    return export


def decoder_main() -> None:
    """``ros2 run groundmore sam_decoder``."""
    _run("decoder")


def encoder_main() -> None:
    """``ros2 run groundmore sam_encoder``."""
    _run("encoder")


def _run(name: str) -> None:
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command(help=WHAT[name])(_command(name))
    try:
        app()
    except GroundmoreError as error:
        typer.echo(f"groundmore: {error}", err=True)
        sys.exit(1)
