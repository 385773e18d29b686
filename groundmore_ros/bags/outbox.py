# SPDX-License-Identifier: Apache-2.0
"""A folder of answers about a recording, as people and robots read them."""

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import numpy as np

from groundmore_ros.bags.clips import SampledClip
from groundmore_ros.bags.images import to_jpeg
from groundmore_ros.bags.records import Result
from groundmore_ros.bags.writer import BagFile, VideoWriter, overlay, write_masks
from groundmore_ros.errors import GroundmoreError
from groundmore_ros.mora.answer import Status

__all__ = ["Outbox", "summary"]


def summary(result: Result) -> dict[str, Any]:
    """What ``answers.json`` says of a result. Times are s, as in the frames' stamps."""
    answer = result.answer
    return {
        "question": result.question,
        "camera": result.camera,
        "model": result.model,
        "status": Status(result.status).name,
        "answer": answer.plain_text if answer else "",
        "score": round(answer.score, 6) if answer else 0.0,
        "error": result.error,
        "stamps": [s / 1e9 for s in result.stamps],
        "objects": [
            {
                "score": round(found.score, 6),
                "spans": [
                    {"start": start, "end": end, "score": round(score, 6)}
                    for start, end, score in found.spans
                ],
                "frame_scores": [round(float(s), 6) for s in found.frame_scores],
                "active": [bool(a) for a in found.active],
                "area": [int(a) for a in (found.mask_logits > 0).sum(axis=(1, 2))],
            }
            for found in (answer.objects if answer else [])
        ],
    }


class Outbox:
    """A folder of answers: ``masks/``, ``answers.json``, ``answers.mcap`` and ``overlay.mp4``.

    Clips are written as they come; use it in a ``with`` statement.
    """

    NAMES = ("masks", "answers.json", "answers.mcap", "overlay.mp4")

    def __init__(self, folder: Path, rate: float) -> None:
        """The folder is created with the first answer. Rate in Hz, of the overlay.

        Raises:
            GroundmoreError: it holds answers already, or is a file.
        """
        taken = [name for name in self.NAMES if (folder / name).exists()]
        if taken or folder.is_file():
            held = f"already has {', '.join(taken)}" if taken else "is a file"
            raise GroundmoreError(f"{folder} {held}; name another folder")
        self._folder, self._rate = folder, rate
        self._answers: list[dict[str, Any]] = []
        self._files = ExitStack()
        self._bag: BagFile | None = None
        self._video: VideoWriter | None = None

    def __enter__(self) -> Self:
        return self

    def _open(self) -> tuple[BagFile, VideoWriter]:
        if self._bag is None or self._video is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._bag = self._files.enter_context(BagFile(self._folder / "answers.mcap"))
            self._video = VideoWriter(self._folder / "overlay.mp4", self._rate)
            self._files.callback(self._video.close)
        return self._bag, self._video

    def add(self, result: Result, clip: SampledClip) -> None:
        """Write the masks, messages and pictures of a clip that was answered."""
        assert result.answer is not None
        bag, video = self._open()
        self._answers.append(summary(result))
        gated = result.answer.masks
        write_masks(self._folder / "masks", result.stamps, gated)
        ungated = result.answer.mask_logits > 0
        active = np.logical_or.reduce(
            [np.zeros(len(result.stamps), bool), *(o.active for o in result.answer.objects)]
        )
        for t, frame in enumerate(clip.frames):
            drawn = overlay(frame.picture, ungated[t], bool(active[t]))
            bag.write_jpeg("/image/compressed", frame.stamp, frame.frame_id, to_jpeg(frame.picture))
            bag.write_jpeg("/mora/overlay/compressed", frame.stamp, frame.frame_id, to_jpeg(drawn))
            video.add(drawn)
        bag.write_result(result)

    def __exit__(self, *args: object) -> None:
        self._files.close()
        if self._answers:
            text = json.dumps(self._answers, indent=1)
            (self._folder / "answers.json").write_text(text + "\n")
