# SPDX-License-Identifier: Apache-2.0
"""Predictions, in memory and in a folder.

``<video>/<question>/<frame>.png`` holds the masks (0/255) after the temporal gate, which is all
that another tool has to write; ``<video>/<question>/ungated/<frame>.png`` those before it, where
they differ; ``answers.jsonl`` a line for each question, written after its masks.
"""

import hashlib
import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from groundmore_ros.datasets.files import read_index_map
from groundmore_ros.errors import GroundmoreError, SourceError
from groundmore_ros.mora.answer import Span
from groundmore_ros.run_lengths import RunLengths

__all__ = ["Prediction", "PredictionFolder"]

ANSWERS, SETTINGS = "answers.jsonl", "settings.json"
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
        asked: a mark of what was asked; a question that has changed is asked anew.
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
    asked: str = ""

    @property
    def failed(self) -> bool:
        """Whether there is no answer."""
        return self.status == FAILED

    def before_gate(self, frame: str) -> RunLengths | None:
        """A frame's mask before the gate."""
        return self.ungated.get(frame, self.masks.get(frame))


class PredictionFolder:
    """A folder of predictions; reading changes nothing in it.

    It grows question by question and survives being interrupted. Only one process may write.
    """

    def __init__(self, folder: Path) -> None:
        """Read what has been answered; half a line at the end is passed over.

        Raises:
            GroundmoreError: a line is not as expected.
        """
        self.folder = folder
        self._file = folder / ANSWERS
        self._rows: dict[tuple[str, str], dict[str, Any]] = {}
        self._mended = False
        lines = self._file.read_text().splitlines() if self._file.exists() else []
        for number, line in enumerate(lines, 1):
            try:
                row = _row(line)
            except (ValueError, TypeError, AttributeError) as error:
                if number == len(lines):
                    break  # a run that was killed while it wrote
                where = f"{self._file}, line {number}"
                raise GroundmoreError(f"{where} is not as expected: {error}") from error
            self._rows[row["video"], row["question"]] = row

    def answered(self, *, failed: bool = True) -> dict[str, dict[str, str]]:
        """What has been answered: by video and question, the mark of what was asked.

        Args:
            failed: whether FAILED answers are among them.
        """
        found: dict[str, dict[str, str]] = {}
        for (video, question), row in self._rows.items():
            if failed or row["status"] != FAILED:
                found.setdefault(video, {})[question] = str(row.get("asked", ""))
        return found

    def hold_to(self, settings: dict[str, Any]) -> None:
        """Note what the predictions are made with, or check that it was the same before.

        Raises:
            GroundmoreError: it was not, or the folder cannot be written to.
        """
        before = self.settings()
        changed = [k for k in settings if before and before.get(k) != settings[k]]
        if changed:
            was = ", ".join(f"{k} {before.get(k)!r}" for k in changed)
            now = ", ".join(f"{k} {settings[k]!r}" for k in changed)
            raise GroundmoreError(
                f"{self.folder} holds predictions made with {was}, not {now}; name another folder"
            )
        if before:
            return
        part = self.folder / f"{SETTINGS}.part"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            part.write_text(json.dumps(settings, indent=1) + "\n")
            part.rename(self.folder / SETTINGS)
        except OSError as error:
            raise GroundmoreError(f"{self.folder} cannot be written to: {error}") from error

    def settings(self) -> dict[str, Any]:
        """What the predictions were made with; nothing where a tool does not tell.

        Raises:
            GroundmoreError: the file is damaged.
        """
        path = self.folder / SETTINGS
        if not path.exists():
            return {}
        try:
            found: dict[str, Any] = json.loads(path.read_text())
        except ValueError as error:
            raise GroundmoreError(f"{path} is damaged: {error}") from error
        return found

    def write(self, prediction: Prediction) -> None:
        """Add a prediction: first its masks, then its line."""
        place = self._place(prediction.video, prediction.question)
        for folder, masks in ((place, prediction.masks), (place / UNGATED, prediction.ungated)):
            if folder.is_dir():  # of an earlier answer
                for old in folder.glob("*.png"):
                    old.unlink()
            if masks:
                folder.mkdir(parents=True, exist_ok=True)
            for frame, mask in masks.items():
                _write_png(folder / f"{frame}.png", mask)
        row = {
            "video": prediction.video,
            "question": prediction.question,
            "asked": prediction.asked,
            "status": prediction.status,
            "text": prediction.text,
            "score": round(prediction.score, 6),
            "spans": prediction.spans,
            "latencies": {k: round(v, 6) for k, v in prediction.latencies.items()},
            "error": prediction.error,
        }
        self.folder.mkdir(parents=True, exist_ok=True)
        self._mend()
        with self._file.open("a") as file:
            file.write(json.dumps(row) + "\n")
        self._rows[prediction.video, prediction.question] = row

    def _mend(self) -> None:
        """Before the first line is added: half a line at the end goes, a whole one is ended."""
        if self._mended or not self._file.exists():
            self._mended = True
            return
        content = self._file.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            with self._file.open("r+b") as file:
                try:
                    _row(content[whole:].decode())
                    file.seek(0, os.SEEK_END)
                    file.write(b"\n")
                except (ValueError, TypeError, AttributeError):
                    file.truncate(whole)
        self._mended = True

    def read(self, video: str, question: str, frames: Sequence[str]) -> Prediction | None:
        """A prediction with the masks of some frames; None where there is none.

        One whose masks cannot be read is FAILED.
        """
        place = self._place(video, question)
        row = self._rows.get((video, question))
        if row is None and not place.is_dir():
            return None
        row = row or {}
        try:
            masks, ungated = _read_masks(place, frames), _read_masks(place / UNGATED, frames)
        except SourceError as error:
            return Prediction(video, question, FAILED, error=str(error))
        return Prediction(
            video=video,
            question=question,
            asked=str(row.get("asked", "")),
            status=str(row.get("status", "OK")),
            text=str(row.get("text", "")),
            score=float(row.get("score", 0.0)),
            spans=row.get("spans"),
            masks=masks,
            ungated=ungated,
            latencies=row.get("latencies", {}),
            error=str(row.get("error", "")),
        )

    def mark(self, video: str, question: str) -> str:
        """Changes when the prediction does."""
        place = self._place(video, question)
        digest = hashlib.sha256(json.dumps(self._rows.get((video, question))).encode())
        for folder in (place, place / UNGATED):
            for file in sorted(folder.glob("*.png")):
                told = file.stat()
                digest.update(f"{file.name} {told.st_size} {told.st_mtime_ns}".encode())
        return digest.hexdigest()

    def _place(self, video: str, question: str) -> Path:
        return self.folder / _folder_name(video) / _folder_name(question)


def _folder_name(text: str) -> str:
    """An id as the name of a folder."""
    name = text.replace("/", "%2F")
    return f"%{name}" if name in ("", ".", "..", UNGATED) else name


def _row(line: str) -> dict[str, Any]:
    """A line of ``answers.jsonl``, checked.

    Raises:
        ValueError, TypeError, AttributeError: it is not as expected.
    """
    row = json.loads(line, parse_constant=lambda name: float("nan"))
    if not isinstance(row, dict) or not {"video", "question"} <= row.keys():
        raise ValueError("expected an object with `video` and `question`")
    row |= {"video": str(row["video"]), "question": str(row["question"])}
    row["status"] = str(row.get("status", "OK"))
    row["score"] = _finite("score", row.get("score", 0.0))
    if row.get("spans") is not None:
        row["spans"] = [_span(span, row["score"]) for span in row["spans"]]
    latencies = row.get("latencies") or {}
    row["latencies"] = {str(k): _finite("latencies", v) for k, v in latencies.items()}
    return row


def _span(span: Any, score: float) -> Span:
    if not isinstance(span, list) or len(span) not in (2, 3):
        raise ValueError(f"a span is {span!r}; expected [start, end] or [start, end, score]")
    start, end, *rest = (_finite("span", value) for value in span)
    return start, end, rest[0] if rest else score


def _finite(name: str, value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{name} is {value}; expected a finite number")
    return number


def _write_png(path: Path, mask: RunLengths) -> None:
    Image.fromarray(mask.decode().view(np.uint8) * 255).save(path, compress_level=1)


def _read_masks(folder: Path, frames: Sequence[str]) -> dict[str, RunLengths]:
    files = {frame: folder / f"{frame}.png" for frame in frames}
    return {
        frame: RunLengths.of(read_index_map(file) > 0)
        for frame, file in files.items()
        if file.is_file()
    }
