# SPDX-License-Identifier: Apache-2.0
"""``groundmore train``: recipes, from nothing to weights."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer

from groundmore_ros.commands.progress import StageBars
from groundmore_ros.errors import GroundmoreError, MissingDependencyError

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the subcommand."""
    app.command(name="train")(train)


def train(
    recipe: str = typer.Option("nano", help="A recipe's name, or a YAML file."),
    out: Path = typer.Option(..., help="Folder of the run; a run that is there is resumed."),
    model: str = typer.Option(None, help="The model to start from; the recipe nano has none."),
    data: list[str] = typer.Option([], help="SOURCE or SOURCE@RATE, as evaluate takes; repeat."),
    perception: Path = typer.Option(
        None,
        help="Nano: folder of another run whose data and trained perception are used, or of a "
        "model whose perception is.",
    ),
    threads: int = typer.Option(0, min=0, help="Threads; 0: one a core."),
) -> None:
    """Train a model. Stop it whenever you like (Ctrl-C) and start it again: it goes on.

    Over several processes: accelerate launch --config_file CONFIG -m groundmore_ros train ...
    Curves: tensorboard --logdir OUT/logs
    """
    import torch

    # The stages have bars of their own; workers that load models inherit this.
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    try:
        from groundmore_ros.training.recipe import load_recipe

        settings = load_recipe(recipe)
        if threads:
            torch.set_num_threads(threads)
        stopped: list[int] = []
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stopped.append(1))
        if settings.get("kind") == "finetune":
            finished = _finetune(settings, out, model, data, lambda: bool(stopped))
        else:
            finished = _nano(settings, out, perception, lambda: bool(stopped))
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f"{error.name} is missing: pip install 'groundmore[train,sim]'"
        ) from error
    typer.echo(f"{out / 'model'} is ready" if finished else "stopped; the same command goes on")


def _nano(
    settings: dict[str, Any], out: Path, perception: Path | None, stop: Callable[[], bool]
) -> bool:
    from groundmore_ros.training.nano import NanoTraining, Progress

    with StageBars() as bars:
        progress = Progress(bars.stage, bars.step, stop)
        return NanoTraining(settings, out, progress, perception).run()


def _finetune(
    settings: dict[str, Any],
    out: Path,
    model: str | None,
    data: list[str],
    stop: Callable[[], bool],
) -> bool:
    from groundmore_ros.datasets import open_dataset
    from groundmore_ros.training.clips import Mixture
    from groundmore_ros.training.finetuning import (
        FinetuneSettings,
        Finetuning,
        describe_run,
        start_from,
    )

    if model is None or not data:
        raise GroundmoreError("this recipe needs --model to start from and --data to learn from")
    chosen = FinetuneSettings.of(settings.get("training", {}))
    sources = [source.rpartition("@") if "@" in source else (source, "", "1") for source in data]
    mixture = Mixture(
        [open_dataset(source) for source, _, _ in sources],
        [_rate(rate) for _, _, rate in sources],
        chosen.clip_frames,
        chosen.seed,
    )
    base, tokenizer = start_from(model, settings.get("config", {}), chosen.precision)
    run = Finetuning(base, tokenizer, mixture, chosen, out)
    if not run.accelerator.is_main_process:
        return run.run(stop=stop)
    from torch.utils.tensorboard import SummaryWriter

    describe_run(out, model, settings)
    with StageBars() as bars:
        bars.stage("finetune", chosen.steps)
        finished = run.run(bars.step, stop, SummaryWriter(str(out / "logs")))
    if finished:
        run.save_model(out / "model")
    return finished


def _rate(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise GroundmoreError(f"--data has the rate {text!r}; expected a number") from None
