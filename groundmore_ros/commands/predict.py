# SPDX-License-Identifier: Apache-2.0
"""``groundmore predict``: a model's masks and spans for all questions of a data set."""

from pathlib import Path

import typer

from groundmore_ros.commands.evaluating import (
    CORES,
    ExecutorOption,
    FramesOption,
    RetryOption,
    SplitOption,
    TopicOption,
    WorkersOption,
    frames_of,
    make_executor,
)
from groundmore_ros.commands.options import (
    DecoderOption,
    DeviceOption,
    EncoderOption,
    LoadOption,
    how_to_load,
    prepare_folder,
)
from groundmore_ros.commands.progress import progress_bar

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the subcommand."""
    app.command(name="predict")(predict)


def predict(
    source: str = typer.Argument(
        ..., help="FIRST:END (simulated seeds), bags, a question file, or a data set's folder."
    ),
    out: Path = typer.Option(..., help="Folder for the predictions; a run that is there goes on."),
    model: str = typer.Option("mora-nano", help="A folder, a shipped model, or a cached hub id."),
    device: DeviceOption = "auto",
    encoder: EncoderOption = "torch",
    decoder: DecoderOption = "torch",
    load: LoadOption = [],  # noqa: B006 - typer copies it
    frames: FramesOption = "auto",
    split: SplitOption = None,
    topic: TopicOption = None,
    workers: WorkersOption = CORES,
    executor: ExecutorOption = "local",
    retry_failed: RetryOption = False,
) -> None:
    """Predict. Stop it whenever you like and start it again: it goes on."""
    from groundmore_ros.datasets import open_dataset
    from groundmore_ros.evaluation.answering import Asking
    from groundmore_ros.evaluation.evaluate import predict as predict_all
    from groundmore_ros.evaluation.work import Job
    from groundmore_ros.mora.zoo import resolve_model

    dataset = open_dataset(source, split, topic)
    resolve_model(model)
    prepare_folder(out)
    job = Job(
        dataset,
        model,
        loading=how_to_load(device, encoder, decoder, load),
        asking=Asking(frames_of(frames, dataset)),
        predictions=out,
        scored=False,
    )
    with progress_bar("videos", len(dataset.ids)) as advance:
        missing = predict_all(
            job, make_executor(executor, workers), retry_failed=retry_failed, on_done=advance
        )
    for video, why in missing.items():
        typer.echo(f"{video}: {why}", err=True)
    typer.echo(f"predictions are in {out}")
