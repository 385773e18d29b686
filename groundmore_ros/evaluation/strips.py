# SPDX-License-Identifier: Apache-2.0
"""Pictures of answers beside the truth: film strips and overlay videos."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from groundmore_ros.bags.sampling import evenly
from groundmore_ros.bags.writer import VideoWriter, overlay
from groundmore_ros.datasets.base import Question, Video
from groundmore_ros.evaluation.answering import inside
from groundmore_ros.evaluation.predictions import Prediction

__all__ = ["Film"]

COLUMNS, WIDTH, GAP = 8, 132, 3  # frames of a strip, pixels
PAPER = 255
VIDEO_RATE = 6.0  # Hz
QUALITY = 72
AT_ONCE = 16  # frames held

RGB = NDArray[np.uint8]


class Film:
    """A question's frames with the true and the predicted masks."""

    def __init__(self, video: Video, question: Question, prediction: Prediction | None) -> None:
        """Frames that cannot be decoded are left out."""
        self._video, self._question, self._prediction = video, question, prediction
        self._indices = [] if video.missing else list(question.frames)

    def _frames(self, indices: list[int]) -> Iterator[tuple[int, RGB]]:
        for start in range(0, len(indices), AT_ONCE):
            some = indices[start : start + AT_ONCE]
            for index, picture in zip(some, self._video.pictures(some), strict=True):
                if picture is not None:
                    yield index, picture

    def strip(self) -> bytes:
        """A JPEG of three rows: frames, truth, prediction; empty without frames."""
        chosen = [self._indices[k] for k in evenly(len(self._indices), COLUMNS)]
        columns = [
            [_small(p), _small(self._true(i, p)), _small(self._predicted(i, p))]
            for i, p in self._frames(chosen)
        ]
        if not columns:
            return b""
        height = max(picture.shape[0] for column in columns for picture in column)
        size = (3 * (height + GAP) - GAP, len(columns) * (WIDTH + GAP) - GAP, 3)
        sheet = np.full(size, PAPER, np.uint8)
        for x, column in enumerate(columns):
            for y, picture in enumerate(column):
                top, left = y * (height + GAP), x * (WIDTH + GAP)
                sheet[top : top + picture.shape[0], left : left + WIDTH] = picture
        buffer = io.BytesIO()
        Image.fromarray(sheet).save(buffer, "JPEG", quality=QUALITY)
        return buffer.getvalue()

    def write_overlay(self, path: Path) -> None:
        """A video: the truth on the left, the prediction on the right."""
        path.parent.mkdir(parents=True, exist_ok=True)
        video = VideoWriter(path, VIDEO_RATE)
        for index, picture in self._frames(self._indices):
            sides = [self._true(index, picture), self._predicted(index, picture)]
            video.add(np.concatenate(sides, axis=1))
        video.close()

    def _true(self, index: int, picture: RGB) -> RGB:
        mask = self._video.truth(self._question, index)
        span = self._question.span
        during = span is None or inside(float(self._video.stamps[index]), span)
        if mask is None or mask.shape != picture.shape[:2]:
            return picture
        return overlay(picture, mask, during and bool(mask.any()))

    def _predicted(self, index: int, picture: RGB) -> RGB:
        name = self._video.names[index]
        if self._prediction is None:
            return picture
        found, gated = self._prediction.before_gate(name), self._prediction.masks.get(name)
        if found is None or found.shape != picture.shape[:2]:
            return picture
        return overlay(picture, found.decode(), gated is not None and gated.area > 0)


def _small(picture: RGB) -> RGB:
    height = max(1, round(picture.shape[0] * WIDTH / picture.shape[1]))
    return np.asarray(Image.fromarray(picture).resize((WIDTH, height), Image.Resampling.BILINEAR))
