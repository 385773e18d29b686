# SPDX-License-Identifier: Apache-2.0
"""Progress bars on the terminal."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["StageBars", "progress_bar"]


@contextmanager
def progress_bar(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar with time left; gives what advances it by a number of items."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(what, total=total)
        yield lambda count: progress.advance(task, count)


class StageBars:
    """A bar for each stage, with the newest figures beside it; a line a minute in a log file."""

    def __init__(self, every: float = 60.0) -> None:
        """``every`` so many seconds, at most, a line is written where there is no terminal."""
        self._every = every

    def __enter__(self) -> "StageBars":
        from rich.console import Console
        from rich.progress import Progress, TextColumn, TimeRemainingColumn

        self._console = Console(stderr=True)
        columns = (*Progress.get_default_columns()[:2], TextColumn("{task.completed}/{task.total}"))
        self._progress = Progress(
            *columns,
            TimeRemainingColumn(),
            TextColumn("{task.fields[figures]}"),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._progress.start()
        return self

    def stage(self, name: str, total: int) -> None:
        """Begin a stage of so many steps."""
        self._task = self._progress.add_task(name, total=total, figures="")
        self._name, self._total = name, total
        self._write(0, "")

    def step(self, done: int, figures: dict[str, float]) -> None:
        """So many steps of the stage are done; the first figures are shown."""
        shown = "  ".join(f"{k} {v:.3f}" for k, v in list(figures.items())[:6])
        self._progress.update(self._task, completed=done, figures=shown)
        if time.monotonic() >= self._due or done == self._total:
            self._write(done, shown)

    def _write(self, done: int, shown: str) -> None:
        self._due = time.monotonic() + self._every
        if not self._console.is_terminal:
            line = f"{self._name} {done}/{self._total}  {shown}".rstrip()
            self._console.print(line, highlight=False, markup=False, soft_wrap=True)

    def __exit__(self, *args: object) -> None:
        self._progress.stop()
