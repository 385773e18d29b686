# SPDX-License-Identifier: Apache-2.0
"""What one worker does with one video: answer questions, score answers. Workers share nothing."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from groundmore_ros.datasets.base import Dataset
from groundmore_ros.evaluation.answering import Asking, answer_video
from groundmore_ros.evaluation.predictions import Prediction, PredictionFolder
from groundmore_ros.evaluation.scores import Score, VideoScorer

if TYPE_CHECKING:
    from groundmore_ros.mora import Mora

__all__ = ["Executor", "Job", "Processes", "Task", "VideoResult", "Worker"]


@dataclass(frozen=True)
class Job:
    """What is done with every video.

    Attributes:
        dataset: the videos.
        model: as for ``Mora.from_pretrained``; None: predictions are given.
        device: likewise.
        asking: how questions are put, and how many frames are scored.
        predictions: folder of what has been predicted before.
        scored: whether answers are scored.
    """

    dataset: Dataset
    model: str | None
    device: str = "auto"
    asking: Asking = field(default_factory=Asking)
    predictions: Path | None = None
    scored: bool = True


@dataclass(frozen=True)
class Task:
    """One video: ids of its questions that are to be left alone, and of those only to be scored."""

    video: str
    done: frozenset[str] = frozenset()
    answered: frozenset[str] = frozenset()


@dataclass
class VideoResult:
    """What became of a task: new predictions, and scores of new and earlier ones."""

    video: str
    predictions: list[Prediction] = field(default_factory=list)
    scores: list[Score] = field(default_factory=list)
    missing: str = ""


class Executor(Protocol):
    """Spreads tasks over workers."""

    def run(self, job: Job, tasks: Sequence[Task]) -> Iterator[VideoResult]:
        """Results in the order in which they are finished, one for each task."""
        ...


class Worker:
    """Does tasks of a job, with one model."""

    def __init__(self, job: Job, threads: int | None = None) -> None:
        """The model is loaded with the first question; threads are those of a CPU."""
        self._job, self._threads = job, threads
        self._mora: Mora | None = None
        self._folder = PredictionFolder(job.predictions) if job.predictions else None

    def run(self, task: Task) -> VideoResult:
        """Answer what is not answered, score what is not scored."""
        video = self._job.dataset.video(task.video)
        result = VideoResult(task.video, missing=video.missing)
        questions = [q for q in video.questions if q.id not in task.done]
        if self._job.model is not None:
            fresh = [q for q in questions if q.id not in task.answered]
            if fresh:
                result.predictions = list(
                    answer_video(self._model(), video, fresh, self._job.asking)
                )
        if self._job.scored:
            new = {p.question: p for p in result.predictions}
            scorer = VideoScorer(video, self._job.asking.frames)
            for question in questions:
                known = new.get(question.id)
                if known is None and self._folder:
                    names = sorted({video.names[i] for i in question.frames})
                    known = self._folder.read(video.id, question.id, names)
                result.scores.append(scorer.score(question, known))
        return result

    def _model(self) -> "Mora":
        if self._mora is None:
            import torch

            from groundmore_ros.mora import Mora

            if self._threads:
                torch.set_num_threads(self._threads)
            assert self._job.model is not None
            self._mora = Mora.from_pretrained(self._job.model, device=self._job.device)
        return self._mora


class Processes:
    """Workers on this machine, a process and a thread each; a single one works in this process."""

    def __init__(self, workers: int) -> None:
        """At least one worker."""
        self._workers = workers

    def run(self, job: Job, tasks: Sequence[Task]) -> Iterator[VideoResult]:
        """Results as they are finished."""
        if self._workers == 1:
            worker = Worker(job)
            yield from map(worker.run, tasks)
            return
        context = get_context("spawn")
        with ProcessPoolExecutor(self._workers, context, _start, (job,)) as pool:
            pending = {pool.submit(_run, task) for task in tasks}
            try:
                for done in as_completed(pending):
                    yield done.result()
            finally:
                for future in pending:
                    future.cancel()


_run_task: Callable[[Task], VideoResult]


def _start(job: Job) -> None:
    global _run_task
    _run_task = Worker(job, threads=1).run


def _run(task: Task) -> VideoResult:
    return _run_task(task)
