# SPDX-License-Identifier: Apache-2.0
"""Reading the files of published data sets, with errors that name the file."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from groundmore_ros.errors import SourceError

__all__ = ["numbered", "read_index_map", "read_json", "read_picture", "read_videos"]

# What Pillow raises for damaged files, and for those that would fill the memory.
PICTURE_ERRORS = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)


def read_json(path: Path, *keys: str) -> Any:
    """The value behind nested keys of a JSON file.

    Raises:
        SourceError: there is no such file, it is no JSON, or it lacks a key.
    """
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise SourceError(f"{path} cannot be read: {error}") from error
    for key in keys:
        if not isinstance(value, dict) or key not in value:
            raise SourceError(f"{path} has no {key!r}; expected {' > '.join(keys)}")
        value = value[key]
    return value


def read_videos(path: Path) -> dict[str, Any]:
    """The records by video of a published data set's JSON file.

    Raises:
        SourceError: the file cannot be read, or holds none.
    """
    videos = read_json(path, "videos")
    if not isinstance(videos, dict):
        raise SourceError(f"{path}: `videos` is no object by video")
    return videos


def read_picture(path: Path) -> NDArray[np.uint8]:
    """A picture file as (H, W, 3) RGB.

    Raises:
        SourceError: it cannot be read.
    """
    try:
        with Image.open(path) as picture:
            return np.asarray(picture.convert("RGB"))
    except PICTURE_ERRORS as error:
        raise SourceError(f"{path} cannot be read: {error}") from error


def read_index_map(path: Path) -> NDArray[np.uint8]:
    """An indexed or grey PNG (H, W) whose pixels are object numbers.

    Raises:
        SourceError: it cannot be read, or is a colour picture.
    """
    try:
        with Image.open(path) as picture:
            if picture.mode not in ("P", "L", "1"):
                raise SourceError(
                    f"{path} is a {picture.mode} picture; expected an indexed or a grey one"
                )
            return np.asarray(picture).astype(np.uint8)
    except PICTURE_ERRORS as error:
        raise SourceError(f"{path} cannot be read: {error}") from error


def numbered(files: Iterable[Path]) -> dict[int, Path]:
    """Files by the last number in their names, rising, however many digits it is written with.

    Raises:
        SourceError: one has no number, or two have the same.
    """
    found: dict[int, Path] = {}
    for file in files:
        digits = re.findall(r"\d+", file.stem)
        if not digits:
            raise SourceError(f"{file} has no number in its name; expected frame_000000 or so")
        number = int(digits[-1])
        if number in found:
            raise SourceError(f"{file} and {found[number].name} are both frame {number}")
        found[number] = file
    return dict(sorted(found.items()))
