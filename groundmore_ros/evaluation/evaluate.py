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

OnDone = Callable[[int], None]


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
    job: Job,
    executor: Executor,
    *,
    retry_failed: bool = False,
    on_done: OnDone = lambda videos: None,
) -> dict[str, str]:
    """Answer all questions that ``job.predictions`` lacks.

    Args:
        job: with a model and a folder for the predictions.
        executor: of its tasks.
        retry_failed: whether questions whose answer FAILED are asked again.
        on_done: told the number of videos finished since the last time.

    Returns:
        missing videos, and why.
    """
    assert job.predictions is not None
    folder = PredictionFolder(job.predictions)
    folder.hold_to(_settings(job))
    answered = folder.answered(failed=not retry_failed)
    tasks = [Task(video, answered.get(video, {})) for video in job.dataset.ids]
    results = _results(replace(job, scored=False), executor, tasks, folder, on_done)
    return {result.video: result.missing for result in results if result.missing}


def evaluate(
    job: Job,
    executor: Executor,
    out: Path | None = None,
    *,
    skip_missing: bool = False,
    retry_failed: bool = False,
    on_done: OnDone = lambda videos: None,
) -> Run:
    """Answer what is to be answered, score everything.

    Args:
        job: with a model, or with a folder of predictions, or both.
        executor: of its tasks.
        out: folder in which scores are kept as they come, so that the run resumes.
        skip_missing: whether questions about missing videos are left out instead of failing.
        retry_failed: whether questions whose answer FAILED are asked again.
        on_done: told the number of videos finished since the last time.
    """
    folder = PredictionFolder(job.predictions) if job.predictions else None
    own = folder if job.model is not None else None
    if own:
        own.hold_to(_settings(job))
    kept = _ScoreFile(out / SCORES, job, folder) if out and folder else None
    answered = own.answered(failed=not retry_failed) if own else {}
    before = kept.read() if kept else {}
    tasks = [
        Task(video, answered.get(video, {}), {q: m for q, (m, _) in before.get(video, {}).items()})
        for video in job.dataset.ids
    ]
    run = Run()
    scores: dict[tuple[str, str], Score] = {}
    for result in _results(job, executor, tasks, own, on_done):
        if result.missing:
            run.missing[result.video] = result.missing
        if result.missing and skip_missing:
            continue
        # What is told of questions that are no longer asked goes.
        for question, (_, score) in before.get(result.video, {}).items():
            if question in result.questions:
                scores.setdefault((result.video, question), score)
        scores |= {(s.video, s.question): s for _, s in result.scores}
        if kept and not result.missing:
            kept.add(result.scores)
    run.scores = [scores[key] for key in sorted(scores)]
    return run


def _settings(job: Job) -> dict[str, Any]:
    return {"dataset": job.dataset.name, "model": job.model, **asdict(job.asking)}


def _results(
    job: Job,
    executor: Executor,
    tasks: list[Task],
    folder: PredictionFolder | None,
    on_done: OnDone,
) -> Iterator[VideoResult]:
    """Results, their predictions written before they are passed on."""
    for result in executor.run(job, tasks):
        if folder:
            for prediction in result.predictions:
                folder.write(prediction)
        yield result
        on_done(int(result.rest is None))


class _ScoreFile:
    """Scores as lines, each with marks of the question and of the answer that it is about."""

    def __init__(self, path: Path, job: Job, folder: PredictionFolder) -> None:
        self._path, self._folder = path, folder
        self._setting = json.dumps([job.dataset.name, asdict(job.asking)])

    def read(self) -> dict[str, dict[str, tuple[str, Score]]]:
        """By video and question: the question's mark, and its score if its answer is the same."""
        found: dict[str, dict[str, tuple[str, Score]]] = {}
        for line in self._path.read_text().splitlines() if self._path.exists() else ():
            try:
                row = json.loads(line)
                score = Score.from_row(row["score"])
            except (ValueError, KeyError, TypeError):
                continue  # half a line of a run that was interrupted, or of another version
            if row.get("answer") == self._answer(score) and row.get("setting") == self._setting:
                found.setdefault(score.video, {})[score.question] = (str(row["question"]), score)
        return found

    def _answer(self, score: Score) -> str:
        return self._folder.mark(score.video, score.question)

    def add(self, scores: list[tuple[str, Score]]) -> None:
        """Append scores with the marks of their questions."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a") as file:
            for mark, score in scores:
                row = {"setting": self._setting, "question": mark, "answer": self._answer(score)}
                file.write(json.dumps(row | {"score": score.as_row()}) + "\n")
