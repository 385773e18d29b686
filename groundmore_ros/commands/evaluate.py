# SPDX-License-Identifier: Apache-2.0
"""``groundmore evaluate``: figures and a report, for a model or for any tool's predictions."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
from groundmore_ros.commands.ros import keep_to_this_machine, require_ros
from groundmore_ros.errors import GroundmoreError

if TYPE_CHECKING:
    from groundmore_ros.datasets import Dataset
    from groundmore_ros.evaluation.evaluate import Run
    from groundmore_ros.evaluation.work import Executor, Job

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the subcommand."""
    app.command(name="evaluate")(evaluate)


def evaluate(
    source: str = typer.Argument(
        "2000000:2000500",
        help="FIRST:END (simulated seeds; from 2000000: unseen by training), bags, a question "
        "file, or a data set's folder.",
    ),
    model: str = typer.Option(None, help="A folder, a shipped model, or a cached hub id."),
    predictions: Path = typer.Option(None, help="Folder of predictions to score instead."),
    out: Path = typer.Option(None, help="Folder for report.html, figures and predictions."),
    device: DeviceOption = "auto",
    encoder: EncoderOption = "torch",
    decoder: DecoderOption = "torch",
    load: LoadOption = [],  # noqa: B006 - typer copies it
    frames: FramesOption = "auto",
    split: SplitOption = None,
    topic: TopicOption = None,
    workers: WorkersOption = CORES,
    executor: ExecutorOption = "local",
    skip_missing: bool = typer.Option(
        False, "--skip-missing", help="Leave missing videos out; else their questions score 0."
    ),
    retry_failed: RetryOption = False,
    given_answer: bool = typer.Option(
        False, "--given-answer", help="Diagnostic: name the answer instead of asking for it."
    ),
    given_span: bool = typer.Option(
        False, "--given-span", help="Diagnostic: cut the clip to the true span."
    ),
    no_gate: bool = typer.Option(False, "--no-gate", help="Diagnostic: ignore [LOC]."),
    all_overlays: bool = typer.Option(
        False, "--all-overlays", help="An overlay video of every question, not of 40 only."
    ),
    through_node: bool = typer.Option(
        False, "--node", help="Play bags through a running node instead of the offline engine."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Evaluate a model (mora-nano by default), or predictions, beside baselines."""
    from groundmore_ros.datasets import open_dataset
    from groundmore_ros.evaluation.answering import Asking
    from groundmore_ros.evaluation.summary import summarise
    from groundmore_ros.evaluation.work import Job

    chosen = _chosen(model, predictions, through_node)
    dataset = open_dataset(source, split, topic)
    asking = Asking(frames_of(frames, dataset), given_answer, given_span, not no_gate)
    prepare_folder(out)
    if through_node and chosen:
        predictions = _through_node(dataset, chosen, out, asking == Asking())
    job = Job(
        dataset,
        None if through_node else chosen,
        loading=how_to_load(device, encoder, decoder, load),
        asking=asking,
        predictions=predictions or (out / "predictions" if out else None),
    )
    _warn_of_frames(job.predictions, asking.frames)
    run = _run(job, make_executor(executor, workers), out, skip_missing, retry_failed)
    summary: dict[str, Any] = {"dataset": dataset.name, "model": chosen or str(predictions)}
    summary |= {"frames": asking.frames or "all", "missing videos": run.missing}
    summary |= summarise(run.scores)
    if as_json:
        typer.echo(json.dumps(summary, indent=1))
    else:
        from groundmore_ros.commands.figures import print_figures

        print_figures(summary)
    if out:
        from groundmore_ros.evaluation.report import write_report

        page = write_report(
            out, dataset, job.predictions, run.scores, summary, all_overlays=all_overlays
        )
        typer.echo(f"the report is {page}", err=True)


def _chosen(model: str | None, predictions: Path | None, through_node: bool) -> str | None:
    """The model that answers; None where predictions are scored. It is looked for at once."""
    if predictions is None:
        from groundmore_ros.mora.zoo import resolve_model

        chosen = model or "mora-nano"
        resolve_model(chosen)
        return chosen
    if model or through_node:
        raise GroundmoreError("--predictions are scored as they are; give no --model and no --node")
    if not predictions.is_dir():
        raise GroundmoreError(f"{predictions} is no folder of predictions")
    return None


def _run(
    job: "Job", executor: "Executor", out: Path | None, skip_missing: bool, retry_failed: bool
) -> "Run":
    """Ask and score with a bar of progress, and tell which videos are missing."""
    from groundmore_ros.evaluation.evaluate import evaluate as evaluate_all

    with progress_bar("videos", len(job.dataset.ids)) as advance:
        run = evaluate_all(
            job,
            executor,
            out,
            skip_missing=skip_missing,
            retry_failed=retry_failed,
            on_done=advance,
        )
    for video, why in run.missing.items():
        typer.echo(f"{video}: {why}", err=True)
    if not run.scores:
        raise GroundmoreError(f"{job.dataset.name} holds no questions")
    return run


def _through_node(dataset: "Dataset", model: str, out: Path | None, as_is: bool) -> Path:
    """Predictions of a node that the bags are played to."""
    from groundmore_ros.datasets.bag import Bags
    from groundmore_ros.evaluation.predictions import PredictionFolder

    if not isinstance(dataset, Bags):
        raise GroundmoreError(f"--node plays bags; {dataset.name} are none")
    if not as_is:
        raise GroundmoreError("--node asks as the node does: no --frames and no diagnostics")
    if out is None:
        raise GroundmoreError("--node keeps the node's answers: give it an --out folder")
    require_ros()
    keep_to_this_machine()
    from groundmore_ros.ros.replay import replay

    folder = PredictionFolder(out / "predictions")
    folder.hold_to({"dataset": dataset.name, "model": model, "node": True})
    with progress_bar("bags", len(dataset.ids)) as advance:
        answered = folder.answered()
        for bag in dataset.ids:
            video = dataset.video(bag)
            left = [q for q in video.questions if q.id not in answered.get(bag, {})]
            for prediction in replay(video, left, model) if left else ():
                folder.write(prediction)
            advance(1)
    return folder.folder


def _warn_of_frames(predictions: Path | None, frames: int | None) -> None:
    """Frames that were not predicted score 0, which may not be what is wanted."""
    from groundmore_ros.evaluation.predictions import PredictionFolder

    told = PredictionFolder(predictions).settings() if predictions else {}
    if "frames" in told and told["frames"] != frames:
        typer.echo(
            f"{predictions} was predicted with frames {told['frames'] or 'all'}, and "
            f"{frames or 'all'} are scored: frames without a prediction score 0",
            err=True,
        )
