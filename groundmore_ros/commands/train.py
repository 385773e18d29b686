# SPDX-License-Identifier: Apache-2.0
"""``groundmore train``: recipes, from nothing to weights."""

import signal
from pathlib import Path

import typer

from groundmore_ros.errors import MissingDependencyError

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the subcommand."""
    app.command(name="train")(train)


def train(
    recipe: str = typer.Option("nano", help="A recipe's name, or a YAML file."),
    out: Path = typer.Option(..., help="Folder of the run; a run that is there is resumed."),
    perception: Path = typer.Option(
        None, help="Folder of another run whose data and trained perception are used."
    ),
    threads: int = typer.Option(0, min=0, help="Threads; 0: one a core."),
) -> None:
    """Train a model. Stop it whenever you like (Ctrl-C) and start it again: it goes on.

    Curves: tensorboard --logdir OUT/logs
    """
    import torch

    try:
        from groundmore_ros.training.nano import NanoTraining, Progress, load_recipe
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f"{error.name} is missing: pip install 'groundmore[train,sim]'"
        ) from error
    if threads:
        torch.set_num_threads(threads)
    settings = load_recipe(recipe)
    stopped: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.append(1))
    with _Bars() as bars:
        progress = Progress(bars.stage, bars.step, lambda: bool(stopped))
        finished = NanoTraining(settings, out, progress, perception).run()
    typer.echo(f"{out / 'model'} is ready" if finished else "stopped; the same command goes on")


class _Bars:
    """A progress bar for each stage, with the newest figures beside it."""

    def __enter__(self) -> "_Bars":
        from rich.console import Console
        from rich.progress import Progress, TextColumn, TimeRemainingColumn

        columns = (*Progress.get_default_columns()[:2], TextColumn("{task.completed}/{task.total}"))
        self._progress = Progress(
            *columns,
            TimeRemainingColumn(),
            TextColumn("{task.fields[figures]}"),
            console=Console(stderr=True),
        )
        self._progress.start()
        return self

    def stage(self, name: str, total: int) -> None:
        self._task = self._progress.add_task(name, total=total, figures="")

    def step(self, done: int, figures: dict[str, float]) -> None:
        shown = "  ".join(f"{k} {v:.3f}" for k, v in list(figures.items())[:6])
        self._progress.update(self._task, completed=done, figures=shown)

    def __exit__(self, *args: object) -> None:
        self._progress.stop()
