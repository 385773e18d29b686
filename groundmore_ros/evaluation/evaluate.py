# SPDX-License-Identifier: Apache-2.0
"""Runs over a whole data set; predictions and scores are kept as they come, so a run resumes."""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from groundmore_ros.evaluation.predictions import PredictionFolder
from groundmore_ros.evaluation.scores import Score
from groundmore_ros.evaluation.work import Executor, Job, Task, VideoResult

__all__ = ["Run", "evaluate", "predict"]

SCORES = "scores.jsonl"


@dataclass
class Run:
    """What a run gave.

    Attributes:
        scores: of all questions, those of earlier sessions too.
        missing: videos whose frames are not there, and why.
    """

    scores: list[Score] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)


def predict(
    job: Job, executor: Executor, on_done: Callable[[int], None] = lambda videos: None
) -> dict[str, str]:
    """Answer all questions that ``job.predictions`` lacks.

    Args:
        job: with a model and a folder for the predictions.
        executor: of its tasks.
        on_done: told the number of videos finished since the last time.

    Returns:
        missing videos, and why.
    """
    assert job.predictions is not None
    folder = PredictionFolder(job.predictions)
    folder.hold_to(_settings(job))
    missing = {}
    for result in _results(replace(job, scored=False), executor, folder, {}, on_done):
        if result.missing:
            missing[result.video] = result.missing
    return missing


def evaluate(
    job: Job,
    executor: Executor,
    out: Path | None = None,
    *,
    skip_missing: bool = False,
    on_done: Callable[[int], None] = lambda videos: None,
) -> Run:
    """Answer what is to be answered, score everything.

    Args:
        job: with a model, or with a folder of predictions, or both.
        executor: of its tasks.
        out: folder in which scores are kept as they come, so that the run resumes.
        skip_missing: whether questions about missing videos are left out instead of failing.
        on_done: told the number of videos finished since the last time.
    """
    folder = PredictionFolder(job.predictions) if job.predictions else None
    if folder and job.model is not None:
        folder.hold_to(_settings(job))
    kept = _ScoreFile(out / SCORES, job) if out else None
    run = Run()
    before = kept.still_true(folder) if kept else {}
    run.scores = [s for scores in before.values() for s in scores.values()]
    done = {video: frozenset(scores) for video, scores in before.items()}
    for result in _results(job, executor, folder, done, on_done):
        if result.missing:
            run.missing[result.video] = result.missing
        if result.missing and skip_missing:
            continue
        run.scores += result.scores
        if kept:
            kept.add(result.scores, folder)
    if skip_missing:
        run.scores = [s for s in run.scores if s.video not in run.missing]
    run.scores.sort(key=lambda s: (s.video, s.question))
    return run


def _settings(job: Job) -> dict[str, Any]:
    return {"dataset": job.dataset.name, "model": job.model, **asdict(job.asking)}


def _results(
    job: Job,
    executor: Executor,
    folder: PredictionFolder | None,
    done: dict[str, frozenset[str]],
    on_done: Callable[[int], None],
) -> Iterator[VideoResult]:
    own = folder if job.model is not None else None
    finished = own.finished if own else set()
    answered: dict[str, set[str]] = {}
    for video, question in own.questions if own else ():
        answered.setdefault(video, set()).add(question)
    tasks = []
    for video in job.dataset.ids:
        known = frozenset(answered.get(video, ()))
        left_alone = done.get(video, frozenset()) if job.scored else known
        if video not in finished or not known <= left_alone:
            tasks.append(Task(video, left_alone, known))
    on_done(len(job.dataset.ids) - len(tasks))
    for result in executor.run(job, tasks):
        if own:
            for prediction in result.predictions:
                own.write(prediction)
            if result.video not in finished:
                own.finish(result.video)
        yield result
        on_done(1)


class _ScoreFile:
    """Scores as lines, each with a mark of the prediction that it was given for."""

    def __init__(self, path: Path, job: Job) -> None:
        self._path = path
        self._setting = json.dumps([job.dataset.name, job.asking.frames])

    def still_true(self, folder: PredictionFolder | None) -> dict[str, dict[str, Score]]:
        """Scores by video and question whose predictions have not changed since."""
        found: dict[str, dict[str, Score]] = {}
        if not self._path.exists() or folder is None:
            self._path.unlink(missing_ok=True)
            return found
        for line in self._path.read_text().splitlines():
            try:
                row = json.loads(line)
            except ValueError:
                continue  # half a line, of a run that was interrupted
            score = Score.from_row(row["score"])
            if row["mark"] == self._mark(score, folder):
                found.setdefault(score.video, {})[score.question] = score
        return found

    def _mark(self, score: Score, folder: PredictionFolder | None) -> str:
        return self._setting + (folder.mark(score.video, score.question) if folder else "")

    def add(self, scores: list[Score], folder: PredictionFolder | None) -> None:
        """Append scores."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a") as file:
            for score in scores:
                row = {"mark": self._mark(score, folder), "score": score.as_row()}
                file.write(json.dumps(row) + "\n")
