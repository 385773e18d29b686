# SPDX-License-Identifier: Apache-2.0
"""What one worker does with one video: answer questions, score answers. Workers share nothing."""

import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from groundmore_ros.datasets.base import Dataset, Question, Video
from groundmore_ros.errors import GroundmoreError
from groundmore_ros.evaluation.answering import Asking, answer_video, scored_frames
from groundmore_ros.evaluation.predictions import Prediction, PredictionFolder
from groundmore_ros.evaluation.scores import Score
from groundmore_ros.evaluation.scoring import VideoScorer

if TYPE_CHECKING:
    from groundmore_ros.mora import Mora

__all__ = ["Executor", "Job", "Processes", "Task", "VideoResult", "Worker"]

AT_ONCE = 50  # questions of a video that are done before their results are kept
AHEAD = 2  # tasks that wait for each worker process


@dataclass(frozen=True)
class Job:
    """What is done with every video.

    Attributes:
        dataset: the videos.
        model: as for ``Mora.from_pretrained``; None: predictions are given.
        loading: its keywords.
        asking: how questions are put, and how many frames are scored.
        predictions: folder of what has been predicted before.
        scored: whether answers are scored.
    """

    dataset: Dataset
    model: str | None
    loading: dict[str, Any] = field(default_factory=lambda: {"device": "auto"})
    asking: Asking = field(default_factory=Asking)
    predictions: Path | None = None
    scored: bool = True


@dataclass(frozen=True)
class Task:
    """One video, and what is known of its questions: by id, the mark of what was asked then."""

    video: str
    answered: dict[str, str] = field(default_factory=dict)
    scored: dict[str, str] = field(default_factory=dict)


@dataclass
class VideoResult:
    """What became of a task.

    Attributes:
        video: its id.
        missing: why its frames cannot be had.
        questions: ids of all its questions.
        predictions: new ones.
        scores: new ones, with the marks of their questions.
        rest: what is left to be done of it, where it has many questions.
    """

    video: str
    missing: str = ""
    questions: frozenset[str] = frozenset()
    predictions: list[Prediction] = field(default_factory=list)
    scores: list[tuple[str, Score]] = field(default_factory=list)
    rest: Task | None = None


class Executor(Protocol):
    """Spreads tasks over workers."""

    def run(self, job: Job, tasks: Sequence[Task]) -> Iterator[VideoResult]:
        """Results in the order in which they are finished; what is left of a task is done too."""
        ...


class Worker:
    """Does tasks of a job, with one model."""

    def __init__(self, job: Job, threads: int | None = None) -> None:
        """The model is loaded with the first question; threads are those of a CPU."""
        self._job, self._threads = job, threads
        self._mora: Mora | None = None
        self._video: Video | None = None
        self._folder = PredictionFolder(job.predictions) if job.predictions else None

    def run(self, task: Task) -> VideoResult:
        """Answer what is not answered and score what is not scored, so many questions at once."""
        video = self._open(task.video)
        marks = {q.id: _mark(q) for q in video.questions}
        result = VideoResult(video.id, video.missing, frozenset(marks))
        left = [q for q in video.questions if self._is_open(q, marks[q.id], task)]
        now, later = left[:AT_ONCE], left[AT_ONCE:]
        if self._job.model is not None and not video.missing:
            fresh = [q for q in now if task.answered.get(q.id) != marks[q.id]]
            answers = answer_video(self._model, video, fresh, self._job.asking)
            result.predictions = [replace(a, asked=marks[a.question]) for a in answers]
        if self._job.scored:
            result.scores = self._scores(video, now, marks, result.predictions)
        if later:
            done = {q.id: marks[q.id] for q in now}
            result.rest = Task(video.id, task.answered | done, task.scored | done)
        return result

    def _is_open(self, question: Question, mark: str, task: Task) -> bool:
        return (task.scored if self._job.scored else task.answered).get(question.id) != mark

    def _scores(
        self,
        video: Video,
        questions: Sequence[Question],
        marks: dict[str, str],
        predictions: Sequence[Prediction],
    ) -> list[tuple[str, Score]]:
        new = {p.question: p for p in predictions}
        scorer = VideoScorer(video, self._job.asking)
        found = []
        for question in questions:
            known = new.get(question.id)
            if known is None and self._folder and not video.missing:
                frames = scored_frames(video, question, self._job.asking)
                names = sorted({video.names[i] for i in frames})
                known = self._folder.read(video.id, question.id, names)
            found.append((marks[question.id], scorer.score(question, known)))
        return found

    def _open(self, video_id: str) -> Video:
        if self._video is None or self._video.id != video_id:
            self._video = self._job.dataset.video(video_id)
        return self._video

    def _model(self) -> "Mora":
        if self._mora is None:
            import torch

            from groundmore_ros.mora import Mora

            if self._threads:
                torch.set_num_threads(self._threads)
            assert self._job.model is not None
            self._mora = Mora.from_pretrained(self._job.model, **self._job.loading)
        return self._mora


def _mark(question: Question) -> str:
    """Changes when the question, or what is true of it, does."""
    frames = list(question.frames)
    told = (question.text, question.answer, frames, question.span, question.objects)
    return hashlib.sha256(json.dumps([*told, question.has_target]).encode()).hexdigest()[:16]


class Processes:
    """Workers on this machine, a process and a thread each; a single one works in this process."""

    def __init__(self, workers: int) -> None:
        """At least one worker."""
        self._workers = workers

    def run(self, job: Job, tasks: Sequence[Task]) -> Iterator[VideoResult]:
        """Results as they are finished.

        Raises:
            GroundmoreError: a worker process was killed.
        """
        if self._workers == 1:
            yield from _alone(Worker(job).run, deque(tasks))
            return
        context = get_context("spawn")
        with ProcessPoolExecutor(self._workers, context, _start, (job,)) as pool:
            try:
                yield from _spread(pool, deque(tasks), self._workers * AHEAD)
            except BrokenProcessPool as error:
                raise GroundmoreError(
                    "a worker process was killed, perhaps for want of memory; run the same "
                    "command again to go on, with fewer --workers"
                ) from error
            finally:
                pool.shutdown(wait=False, cancel_futures=True)


def _alone(run: Callable[[Task], VideoResult], waiting: deque[Task]) -> Iterator[VideoResult]:
    while waiting:
        result = run(waiting.popleft())
        if result.rest:
            waiting.appendleft(result.rest)
        yield result


def _spread(pool: ProcessPoolExecutor, waiting: deque[Task], at_once: int) -> Iterator[VideoResult]:
    """Only so many results are held at a time."""
    pending: set[Future[VideoResult]] = set()
    while waiting or pending:
        while waiting and len(pending) < at_once:
            pending.add(pool.submit(_run, waiting.popleft()))
        done, pending = wait(pending, return_when=FIRST_COMPLETED)
        for future in done:
            result = future.result()
            if result.rest:
                waiting.appendleft(result.rest)
            yield result


_run_task: Callable[[Task], VideoResult]


def _start(job: Job) -> None:
    global _run_task
    _run_task = Worker(job, threads=1).run


def _run(task: Task) -> VideoResult:
    return _run_task(task)
