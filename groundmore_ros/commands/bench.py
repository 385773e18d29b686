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

REPEATS = typer.Option(5, min=1, help="Times each; medians are told.")
OUT = typer.Option(None, help="JSON file for the figures.")

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
    _tell(out, {"a camera at 30 Hz and questions without end": reports})


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
    from groundmore_ros.mora.bench import bench_question, bench_together

    mora = Mora.from_pretrained(model, **how_to_load(device, encoder, decoder, load))
    tables = {"a question": bench_question(mora, _pictures(frames, 1280, 720), repeats)}
    for width, height in ((1280, 720), (640, 480)):
        clip = _pictures(frames, width, height)
        name = f"eight questions, features of {width}x{height} kept"
        tables[name] = bench_together(mora, clip, repeats)
    _tell(out, tables)


@bench_app.command(name="decoder")
def decoder(
    model: str = typer.Option(None, help="By default: SAM's size, then mora-nano."),
    frames: int = typer.Option(16, min=1, help="Masks at once."),
    device: DeviceOption = "cpu",
    repeats: int = REPEATS,
    out: Path = OUT,
) -> None:
    """SAM's mask decoder: torch eager in one batch, as it runs here, and ONNX Runtime."""
    prepare_file(out)
    from groundmore_ros.export.bench import bench_decoder

    models = [model] if model else [None, "mora-nano"]
    _tell(out, {m or "SAM's size": bench_decoder(m, frames, repeats, device) for m in models})


@bench_app.command(name="encoder")
def encoder(
    model: str = typer.Option(None, help="By default: two layers at SAM's size, then mora-nano."),
    device: DeviceOption = "cpu",
    repeats: int = REPEATS,
    out: Path = OUT,
) -> None:
    """SAM's image encoder: torch eager, as it runs here, and ONNX Runtime."""
    prepare_file(out)
    from groundmore_ros.export.bench import bench_encoder

    models = [model] if model else [None, "mora-nano"]
    _tell(out, {m or "two layers at SAM's size": bench_encoder(m, repeats, device) for m in models})


@bench_app.command(name="follow")
def follow(
    model: str = typer.Option("mora-nano", help="A folder, a shipped model, or a cached hub id."),
    rate: float = typer.Option(10.0, min=0.5, help="Frames a second of the camera."),
    seconds: float = typer.Option(20.0, min=1.0, help="How long, each way (s)."),
    encoder: EncoderOption = "torch",
    decoder: DecoderOption = "torch",
    out: Path = OUT,
) -> None:
    """From a live JPEG of 1280x720 to its mask: followed, and asked for anew."""
    require_ros()
    prepare_file(out)
    from groundmore_ros.mora import Mora
    from groundmore_ros.ros.follow_bench import bench_follow

    mora = Mora.from_pretrained(model, encoder=encoder, decoder=decoder)
    recorded, question = _recording()
    frames = _enlarged(recorded)
    _tell(out, {model: bench_follow(mora, frames, question, rate, seconds)})


@bench_app.command(name="ingest")
def ingest(repeats: int = REPEATS, out: Path = OUT) -> None:
    """What a frame costs the node's image callback: 1280x720, JPEG."""
    require_ros()
    prepare_file(out)
    from groundmore_ros.ros.ingest_bench import bench_ingest

    _tell(out, {"two seconds at 30 Hz": bench_ingest(_pictures(8), repeats)})


@bench_app.command(name="bags")
def bags(
    frames: int = typer.Option(300, min=1, help="Of the bag."),
    repeats: int = REPEATS,
    out: Path = OUT,
) -> None:
    """Decoded frames a second from an MCAP of 1280x720 JPEGs, against a plain loop."""
    prepare_file(out)
    from groundmore_ros.bags.bench import bench_bags

    _tell(out, {f"{frames} frames": bench_bags(_pictures(16), frames, repeats)})


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
    _tell(out, {model: [figures]})


@bench_app.command(name="published")
def published(
    model: str = typer.Argument("xinlai/LISA-7B-v1", help="A published model's name, or a folder."),
    dtype: list[str] = typer.Option(
        ["bfloat16", "float16"], help="auto, float32, bfloat16 or float16; again and again."
    ),
    device: DeviceOption = "auto",
    frames: int = typer.Option(16, min=1, help="Frames of the clip."),
    repeats: int = REPEATS,
    out: Path = OUT,
) -> None:
    """A published model at full size, with random weights: nothing is downloaded.

    Frames a second of its encoders, alone and in batches; its decoder; a question; memory.
    """
    prepare_file(out)
    from groundmore_ros.mora.loading import LoadOptions
    from groundmore_ros.mora.published import find_config
    from groundmore_ros.mora.published_bench import bench_published

    tables: dict[str, Any] = {}
    chosen = {precision: LoadOptions(device=device, dtype=precision) for precision in dtype}
    for precision, options in chosen.items():
        found = bench_published(
            find_config(model, options), options, _pictures(frames, 1280, 720), repeats
        )
        tables |= {f"{model}, {precision}: {name}": rows for name, rows in found.items()}
        _write(out, {"hardware": _hardware(), "tables": tables})  # should the next one fail
    _tell(out, tables)


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
    _write(out, {"hardware": _hardware(), "tables": {"J and F of one frame": rows}})
    table = Table(*rows[0], title="J and F of one frame")
    for row in rows:
        table.add_row(*(f"{v:.2f}" if isinstance(v, float) else str(v) for v in row.values()))
    Console().print(table)


def _recording() -> tuple[list[Any], str]:
    """Frames of a shipped sample, and a question about an object that it shows."""
    from groundmore_ros.bags.truth import read_truth
    from groundmore_ros.resources import find_resource

    samples = find_resource("samples")
    for folder in sorted(samples.iterdir()) if samples else ():
        truth = read_truth(folder)
        asked = [a for a in truth.answers if a.type == "Referring"]
        if asked:
            return [truth.pictures[stamp] for stamp in sorted(truth.pictures)], asked[0].question
    raise GroundmoreError("no sample shows an object that can be asked for")


def _enlarged(frames: list[Any], width: int = 1280, height: int = 720) -> list[Any]:
    import numpy as np
    from PIL import Image

    return [np.array(Image.fromarray(f).resize((width, height))) for f in frames]


def _pictures(count: int, width: int = 1280, height: int = 720) -> list[Any]:
    """Frames of a sample, enlarged, forward and back again."""
    frames, _ = _recording()
    there = _enlarged(frames[:count], width, height)
    around = there + there[-2:0:-1]
    return [around[k % len(around)] for k in range(count)]


def _tell(out: Path | None, tables: dict[str, list[dict[str, Any]]]) -> None:
    _write(out, {"hardware": _hardware(), "tables": tables})
    typer.echo(_hardware())
    for name, rows in tables.items():
        _print(rows, name)


def _hardware() -> str:
    import platform

    import torch

    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{os.cpu_count()} cores ({platform.machine()}){gpu}, torch {torch.__version__}"


def _write(out: Path | None, figures: dict[str, Any]) -> None:
    if out:
        out.write_text(json.dumps(figures, indent=1) + "\n")


def _print(reports: list[dict[str, Any]], title: str = "") -> None:
    """A column for each report, headed by its name, where it has one."""
    from rich.console import Console
    from rich.table import Table

    heads = [next((v for v in r.values() if isinstance(v, str)), "") for r in reports]
    table = Table("", *heads, title=title or f"{os.cpu_count()} cores")
    for name, first in reports[0].items():
        if not isinstance(first, str):
            cells = (r[name] for r in reports)
            table.add_row(name, *(f"{c:.3g}" if isinstance(c, float) else str(c) for c in cells))
    Console().print(table)
