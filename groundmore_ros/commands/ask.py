# SPDX-License-Identifier: Apache-2.0
"""``groundmore ask``: a question about a recording."""

import json
import math
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from groundmore_ros.commands.options import (
    DecoderOption,
    DeviceOption,
    EncoderOption,
    LoadOption,
    how_to_load,
)
from groundmore_ros.errors import GroundmoreError

if TYPE_CHECKING:
    from groundmore_ros.bags.records import Result

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the subcommand."""
    app.command(name="ask")(ask)


def ask(
    source: Path = typer.Argument(..., help="A rosbag2, a video file, or a folder of pictures."),
    question: str = typer.Option(..., "--question", "-q", help="As you would ask a person."),
    model: str = typer.Option("mora-nano", help="A folder, a shipped model, or a cached hub id."),
    device: DeviceOption = "auto",
    encoder: EncoderOption = "torch",
    decoder: DecoderOption = "torch",
    load: LoadOption = [],  # noqa: B006 - typer copies it
    topic: str = typer.Option(None, help="A bag's image topic, where it has several."),
    at: float = typer.Option(
        None, help="End of the one clip to ask about (s): a stamp, or an offset from the start."
    ),
    window: float = typer.Option(3.0, min=0.1, help="Length of a clip (s)."),
    rate: float = typer.Option(5.0, min=0.1, help="Frames a second that are kept (Hz)."),
    frames: int = typer.Option(16, min=1, max=256, help="Most frames of a clip."),
    out: Path = typer.Option(None, help="Folder for masks, overlay, answers and an MCAP bag."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Ask about a recording: once (--at), or about each window of it."""
    from groundmore_ros.bags.outbox import Outbox, summary
    from groundmore_ros.bags.sources import open_source
    from groundmore_ros.mora.question import check_question
    from groundmore_ros.offline import Sampling
    from groundmore_ros.offline import ask as ask_clips

    # A user's mistake shows before the model is loaded.
    check_question(question)
    for name, value in (("--at", at or 0.0), ("--window", window), ("--rate", rate)):
        if not math.isfinite(value):
            raise GroundmoreError(f"{name} is {value}; expected a finite number")
    loading = how_to_load(device, encoder, decoder, load)
    with open_source(source, topic):
        pass
    from groundmore_ros.mora import Mora

    mora = Mora.from_pretrained(model, **loading)
    answers = []
    broken = 0
    with ExitStack() as stack:
        outbox = stack.enter_context(Outbox(out, rate)) if out else None
        clips = ask_clips(
            mora, source, question, topic=topic, at=at, sampling=Sampling(window, rate, frames)
        )
        for answered in clips:
            if outbox:
                outbox.add(*answered)
            broken += answered.clip.broken
            answers.append(summary(answered.result))
            if not as_json:
                typer.echo(_line(answered.result))
    if as_json:
        typer.echo(json.dumps(answers, indent=1))
    if broken:
        typer.echo(f"{broken} frames could not be decoded and were left out", err=True)


def _line(result: "Result") -> str:
    first, last = result.stamps[0] / 1e9, result.stamps[-1] / 1e9
    clip = f"{first:.2f} to {last:.2f} s, {len(result.stamps)} frames"
    if result.answer is None or not result.answer.objects:
        return f"{clip}: nothing"
    spans = ", ".join(f"{a:.2f} to {b:.2f} s" for a, b, _ in result.answer.spans)
    return f"{clip}: {result.answer.plain_text} ({result.answer.score:.2f}) {spans}"
