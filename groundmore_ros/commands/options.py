# SPDX-License-Identifier: Apache-2.0
"""What several subcommands read from their arguments."""

from pathlib import Path

from groundmore_ros.errors import GroundmoreError

__all__ = ["prepare_file", "seed_range"]


def seed_range(text: str) -> range:
    """``FIRST:END`` or one seed.

    Raises:
        GroundmoreError: anything else.
    """
    first, _, end = text.partition(":")
    try:
        start = int(first)
        seeds = range(start, int(end) if end else start + 1)
    except ValueError:
        raise GroundmoreError(f"seeds are {text!r}; expected FIRST:END, such as 0:100") from None
    if start < 0 or not seeds:
        raise GroundmoreError(f"seeds are {text!r}; expected FIRST:END with 0 <= FIRST < END")
    return seeds


def prepare_file(path: Path | None) -> None:
    """See to it, before the work is done, that its result can be written.

    Raises:
        GroundmoreError: there cannot be such a file.
    """
    if path is None:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    except OSError as error:
        raise GroundmoreError(f"{path} cannot be written: {error}") from error
