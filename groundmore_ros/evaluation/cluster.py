# SPDX-License-Identifier: Apache-2.0
"""Tasks over a Ray cluster: one model an actor, work by video; a lost actor costs no result."""

import os
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from groundmore_ros.errors import GroundmoreError
from groundmore_ros.evaluation.work import Job, Task, VideoResult, Worker

__all__ = ["Cluster"]

MOST_LOSSES = 3  # of actors during one task, after which the task is thought to kill them


@ray.remote
class _Actor:
    """A worker somewhere in the cluster."""

    def __init__(self, job: Job) -> None:
        self._worker = Worker(job)

    def run(self, task: Task) -> VideoResult:
        """Do a task."""
        return self._worker.run(task)


class Cluster:
    """Joins the cluster that ``RAY_ADDRESS`` names, or starts one on this machine."""

    def __init__(self, workers: int) -> None:
        """As many actors, each with a GPU where the cluster has any, else with one CPU."""
        self._workers = workers

    def run(self, job: Job, tasks: Sequence[Task]) -> Iterator[VideoResult]:
        """Results as they are finished.

        When no task is left to begin, actors without work begin a straggler's task as well; the
        first result counts.

        Raises:
            GroundmoreError: one task lost several actors.
        """
        joined = ray.is_initialized()
        if not joined:
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
            os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
            try:
                ray.init(log_to_driver=False, include_dashboard=False)
            except (ConnectionError, RayError, RuntimeError) as error:
                raise GroundmoreError(f"there is no Ray cluster to join: {error}") from error
        run = _Run(job, tasks, min(self._workers, len(tasks)))
        try:
            while not run.finished:
                yield from run.step()
        finally:
            run.close()
            if not joined:
                ray.shutdown()


class _Run:
    def __init__(self, job: Job, tasks: Sequence[Task], workers: int) -> None:
        held = ray.cluster_resources()  # type: ignore[no-untyped-call]
        gpus = 1 if held.get("GPU") else 0
        # More actors than the cluster has room for would never start.
        workers = max(1, min(workers, int(held.get("GPU" if gpus else "CPU", 1))))
        self._new = _Actor.options(num_gpus=gpus, num_cpus=1)  # type: ignore[attr-defined]
        self._job = ray.put(job)
        self._waiting = deque(tasks)
        self._losses: dict[str, int] = {}
        self._open = {task.video: task for task in tasks}
        self._idle = [self._new.remote(self._job) for _ in range(workers)]
        # What is under way, oldest first: the result to come, its actor and its task.
        self._running: dict[Any, tuple[Any, Task]] = {}

    @property
    def finished(self) -> bool:
        return not self._open

    def step(self) -> Iterator[VideoResult]:
        """Give idle actors work, wait for something to end, pass it on."""
        while self._idle and (task := self._next()):
            actor = self._idle.pop()
            self._running[actor.run.remote(task)] = (actor, task)
        done, _ = ray.wait(list(self._running), num_returns=1)
        actor, task = self._running.pop(done[0])
        try:
            result: VideoResult = ray.get(done[0])
        except RayTaskError as error:
            raise error.cause from None
        except RayError as error:  # the actor, its machine, or the result on its way
            self._lost(actor, task, error)
            return
        self._idle.append(actor)
        if self._open.get(task.video) is task:  # else a straggler's twin was first
            if result.rest:
                self._open[task.video] = result.rest
                self._waiting.appendleft(result.rest)
            else:
                del self._open[task.video]
            yield result

    def _next(self) -> Task | None:
        if self._waiting:
            return self._waiting.popleft()
        twice = [t.video for _, t in self._running.values()]
        for _, task in self._running.values():
            if self._open.get(task.video) is task and twice.count(task.video) == 1:
                return task
        return None

    def _lost(self, actor: Any, task: Task, error: Exception) -> None:
        """Another actor takes the lost one's place, and its task goes to the front."""
        losses = self._losses[task.video] = self._losses.get(task.video, 0) + 1
        if losses >= MOST_LOSSES:
            raise GroundmoreError(f"{task.video} lost {losses} workers: {error}") from error
        ray.kill(actor)
        self._idle.append(self._new.remote(self._job))
        twin = any(t.video == task.video for _, t in self._running.values())
        if self._open.get(task.video) is task and not twin:
            self._waiting.appendleft(task)

    def close(self) -> None:
        """End all actors, also those that still work on what nobody waits for."""
        for actor in (*self._idle, *(a for a, _ in self._running.values())):
            ray.kill(actor)
