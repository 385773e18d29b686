# SPDX-License-Identifier: Apache-2.0
"""Predictions, in memory and in a folder.

``<video>/<question>/<frame>.png`` holds the masks (0/255) after the temporal gate, which is all
that another tool has to write; ``<video>/<question>/ungated/<frame>.png`` those before it, where
they differ; ``answers.jsonl`` a line for each question, written after its masks.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from groundmore_ros.datasets.files import read_index_map
from groundmore_ros.errors import GroundmoreError
from groundmore_ros.mora.answer import Span
from groundmore_ros.run_lengths import RunLengths

__all__ = ["Prediction", "PredictionFolder"]

ANSWERS, SETTINGS, FINISHED = "answers.jsonl", "settings.json", "finished.txt"
UNGATED = "ungated"
FAILED = "FAILED"


@dataclass(frozen=True)
class Prediction:
    """What was answered to one question.

    Attributes:
        video, question: ids.
        status: OK, NO_OBJECT or FAILED.
        text: the answer in words.
        score: 0..1.
        spans: of the event, s; None where a tool tells none.
        masks: by frame name, gated.
        ungated: likewise, before the gate, where they differ.
        latencies: s, by part.
        error: of a failed one.
    """

    video: str
    question: str
    status: str
    text: str = ""
    score: float = 0.0
    spans: list[Span] | None = None
    masks: dict[str, RunLengths] = field(default_factory=dict)
    ungated: dict[str, RunLengths] = field(default_factory=dict)
    latencies: dict[str, float] = field(default_factory=dict)
    error: str = ""

    @property
    def failed(self) -> bool:
        """Whether there is no answer."""
        return self.status == FAILED

    def before_gate(self, frame: str) -> RunLengths | None:
        """A frame's mask before the gate."""
        return self.ungated.get(frame, self.masks.get(frame))


class PredictionFolder:
    """A folder of predictions that grows question by question and survives being interrupted."""

    def __init__(self, folder: Path) -> None:
        """Read which questions have been answered; half a line at the end is cut off.

        Raises:
            GroundmoreError: a line is not as expected.
        """
        self.folder = folder
        self._file = folder / ANSWERS
        self._rows: dict[tuple[str, str], dict[str, Any]] = {}
        if self._file.exists():
            _drop_half_line(self._file)
            for number, line in enumerate(self._file.read_text().splitlines(), 1):
                row = _row(line, f"{self._file}, line {number}")
                self._rows[str(row["video"]), str(row["question"])] = row

    @property
    def questions(self) -> list[tuple[str, str]]:
        """What has been answered: ids of videos and questions."""
        return list(self._rows)

    @property
    def finished(self) -> set[str]:
        """Videos of which all questions have been answered."""
        path = self.folder / FINISHED
        return set(path.read_text().splitlines()) if path.exists() else set()

    def finish(self, video: str) -> None:
        """Note that all questions about a video have been answered."""
        with (self.folder / FINISHED).open("a") as file:
            file.write(f"{video}\n")

    def hold_to(self, settings: dict[str, Any]) -> None:
        """Note what the predictions are made with, or check that it was the same before.

        Raises:
            GroundmoreError: it was not.
        """
        path = self.folder / SETTINGS
        if path.exists():
            before = json.loads(path.read_text())
            changed = [k for k in settings if before.get(k) != settings[k]]
            if changed:
                was = ", ".join(f"{k} {before.get(k)!r}" for k in changed)
                now = ", ".join(f"{k} {settings[k]!r}" for k in changed)
                raise GroundmoreError(
                    f"{self.folder} holds predictions made with {was}, not {now}; "
                    "name another folder"
                )
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(settings, indent=1) + "\n")

    def write(self, prediction: Prediction) -> None:
        """Add a prediction: first its masks, then its line."""
        place = self._place(prediction.video, prediction.question)
        for folder, masks in ((place, prediction.masks), (place / UNGATED, prediction.ungated)):
            if masks:
                folder.mkdir(parents=True, exist_ok=True)
            for frame, mask in masks.items():
                _write_png(folder / f"{frame}.png", mask)
        row = {
            "video": prediction.video,
            "question": prediction.question,
            "status": prediction.status,
            "text": prediction.text,
            "score": round(prediction.score, 6),
            "spans": prediction.spans,
            "latencies": {k: round(v, 6) for k, v in prediction.latencies.items()},
            "error": prediction.error,
        }
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._file.open("a") as file:
            file.write(json.dumps(row) + "\n")
        self._rows[prediction.video, prediction.question] = row

    def read(self, video: str, question: str, frames: Sequence[str]) -> Prediction | None:
        """A prediction with the masks of some frames; None where there is none.

        Raises:
            GroundmoreError: a mask cannot be read.
        """
        place = self._place(video, question)
        row = self._rows.get((video, question))
        if row is None and not place.is_dir():
            return None
        row = row or {}
        spans = row.get("spans")
        return Prediction(
            video=video,
            question=question,
            status=str(row.get("status", "OK")),
            text=str(row.get("text", "")),
            score=float(row.get("score", 0.0)),
            spans=None if spans is None else [(float(a), float(b), float(s)) for a, b, s in spans],
            masks=_read_masks(place, frames),
            ungated=_read_masks(place / UNGATED, frames),
            latencies=row.get("latencies") or {},
            error=str(row.get("error", "")),
        )

    def mark(self, video: str, question: str) -> str:
        """Changes when the prediction does."""
        place = self._place(video, question)
        newest = place.stat().st_mtime_ns if place.is_dir() else 0
        return f"{newest}:{json.dumps(self._rows.get((video, question)))}"

    def _place(self, video: str, question: str) -> Path:
        for name in (video, question):
            if name in ("", ".", "..", UNGATED) or "/" in name or os.sep in name:
                raise GroundmoreError(f"{name!r} cannot be a folder's name")
        return self.folder / video / question


def _drop_half_line(file: Path) -> None:
    content = file.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        with file.open("r+b") as opened:
            opened.truncate(whole)


def _row(line: str, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
        if not isinstance(row, dict) or not {"video", "question"} <= row.keys():
            raise ValueError("expected an object with `video` and `question`")
    except ValueError as error:
        raise GroundmoreError(f"{where} is not as expected: {error}") from error
    return row


def _write_png(path: Path, mask: RunLengths) -> None:
    Image.fromarray(mask.decode().view(np.uint8) * 255).save(path, compress_level=1)


def _read_masks(folder: Path, frames: Sequence[str]) -> dict[str, RunLengths]:
    files = {frame: folder / f"{frame}.png" for frame in frames}
    return {
        frame: RunLengths.of(read_index_map(file) > 0)
        for frame, file in files.items()
        if file.is_file()
    }
