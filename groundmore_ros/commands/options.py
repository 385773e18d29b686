# SPDX-License-Identifier: Apache-2.0
"""What several subcommands read from their arguments."""

from pathlib import Path

from groundmore_ros.errors import GroundmoreError

__all__ = ["prepare_file", "prepare_folder"]


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


def prepare_folder(path: Path | None) -> None:
    """See to it, before the work is done, that results can be written into a folder.

    Raises:
        GroundmoreError: it is a file, or cannot be made.
    """
    if path is None:
        return
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise GroundmoreError(f"{path} cannot be a folder: {error}") from error
