# SPDX-License-Identifier: Apache-2.0
"""Simulated episodes, made as they are read."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from groundmore_ros.datasets.base import Question, Video, union
from groundmore_ros.errors import SourceError
from groundmore_ros.simulation import EXAM_VERSION, Episode, generate
from groundmore_ros.simulation.phrases import USES

__all__ = ["Simulated", "SimulatedVideo"]


@dataclass
class Simulated:
    """Episodes of a range of seeds, with the exam's settings.

    With a split, every question is put in wordings of that kind: ``known`` (that models may have
    been trained on), ``validation`` or ``held-out``. All ask the same questions about the same
    episodes.

    Raises:
        SourceError: another split.
    """

    seeds: range
    split: str | None = None
    name: str = field(init=False)
    ids: Sequence[str] = field(init=False)
    frames: int | None = None

    def __post_init__(self) -> None:
        """Name the episodes by their seeds."""
        if self.split not in (None, *USES):
            raise SourceError(
                f"split is {self.split!r}; expected one of {', '.join(USES)} for simulated episodes"
            )
        first, last = self.seeds[0], self.seeds[-1]
        wordings = f", {self.split} wordings" if self.split else ""
        self.name = f"simulated episodes {first} to {last}, exam {EXAM_VERSION}{wordings}"
        self.ids = [str(seed) for seed in self.seeds]

    def video(self, video_id: str) -> "SimulatedVideo":
        """Simulate an episode."""
        words = {"rephrased_share": 1.0, "wordings": self.split} if self.split else {}
        return SimulatedVideo(generate(int(video_id), **words))


class SimulatedVideo(Video):
    """An episode."""

    def __init__(self, episode: Episode) -> None:
        """Its questions are numbered in their order."""
        self.episode = episode
        self.id = str(episode.seed)
        self.names = [f"{t:05d}" for t in range(len(episode.stamps))]
        self.stamps = episode.stamps
        colours = [body.colour for body in episode.scene.bodies]
        shared = len(set(colours)) < len(colours)
        self.questions = [
            Question(
                id=f"{number}-{q.type}",
                text=q.text,
                type=q.type,
                answer=q.answer,
                frames=range(len(episode.stamps)),
                span=q.span if q.target is not None else None,
                has_target=q.target is not None,
                objects=() if q.target is None else (q.target,),
                tags=("shared colour" if shared else "own colours",),
            )
            for number, q in enumerate(episode.questions)
        ]

    def pictures(self, indices: Sequence[int]) -> list[NDArray[np.uint8]]:
        """Frames."""
        return [self.episode.frames[i] for i in indices]

    def objects(self, index: int) -> NDArray[np.uint8] | None:
        """All objects of a frame."""
        return self.episode.object_masks[index]

    def truth(self, question: Question, index: int) -> NDArray[np.bool_] | None:
        """The target's visible mask."""
        return union(self.episode.object_masks[index], question.objects)

    def rivals(self, question: Question) -> dict[str, int]:
        """What rules would choose that know the physics but not the question's words."""
        motion = self.episode.motion
        asked = self.episode.questions[self.questions.index(question)]
        speed = motion.peak_speed.copy()
        speed[[k - 1 for k in asked.named]] = -1
        return {
            "largest motion": int(motion.image_path.argmax()) + 1,
            "fastest not named": int(speed.argmax()) + 1,
        }
