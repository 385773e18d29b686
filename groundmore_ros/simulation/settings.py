# SPDX-License-Identifier: Apache-2.0
"""Settings of the simulated episodes, and the seed ranges that keep training and tests apart."""

from dataclasses import dataclass, fields

from groundmore_ros.errors import GroundmoreError
from groundmore_ros.simulation.phrases import USES

__all__ = ["EXAM_VERSION", "TEST_SEEDS", "TRAIN_SEEDS", "VALIDATION_SEEDS", "EpisodeSettings"]

# The defaults below are the exam that models are judged by. A change to them, or to anything that
# changes the episodes they give, is a new version, and all published figures are taken again.
EXAM_VERSION = 1

TRAIN_SEEDS = range(1_000_000)
VALIDATION_SEEDS = range(1_000_000, 1_010_000)
TEST_SEEDS = range(2_000_000, 2**63)

WORDINGS = (*USES, "all")


@dataclass(frozen=True, kw_only=True)
class EpisodeSettings:
    """What an episode may contain. The defaults are the exam.

    Attributes:
        frames: number of frames, 8 to 24.
        rate: frames a second, 4 to 10 Hz.
        width: image width in pixels.
        height: image height in pixels.
        min_objects: fewest objects, at least 2.
        max_objects: most objects, at most 8.
        table_share: probability that the scene is a table with edges, not an open floor.
        moving_camera_share: probability that the camera moves during the episode.
        shadow_share: probability that the light casts shadows.
        shared_colour_share: probability that two objects are given one colour on purpose (others
            share one by chance only where shapes tell them apart).
        no_answer_share: wanted share of motion questions with no right answer.
        questions_per_type: most questions of each of the four types in an episode.
        referring_questions: most "the red ball" questions in an episode.
        prop_share: probability of a ramp, a shelf, a container or a screen.
        actor_share: probability of an arm that pushes something, where the scene has room.
        still_share: probability that nothing at all happens.
        textured_share: probability of patterned surfaces, a wall and clutter behind the scene.
        shake_share: probability that a hand holds the camera.
        degraded_share: probability of a camera with faults: colour casts, blur, compression.
        rephrased_share: share of the questions that are put in freer words.
        wordings: which of those: ``known`` (those that models are trained on), ``validation``,
            ``held-out`` or ``all``.
        unrelated_questions: most questions about what is not there.
    """

    frames: int = 16
    rate: float = 5.0
    width: int = 160
    height: int = 120
    min_objects: int = 3
    max_objects: int = 6
    table_share: float = 0.35
    moving_camera_share: float = 0.4
    shadow_share: float = 0.5
    shared_colour_share: float = 0.35
    no_answer_share: float = 0.06
    questions_per_type: int = 2
    referring_questions: int = 2
    prop_share: float = 0.0
    actor_share: float = 0.0
    still_share: float = 0.0
    textured_share: float = 0.0
    shake_share: float = 0.0
    degraded_share: float = 0.0
    rephrased_share: float = 0.0
    wordings: str = "all"
    unrelated_questions: int = 0

    def __post_init__(self) -> None:
        """Reject what the simulation cannot do.

        Raises:
            GroundmoreError: a value out of range, with the value and the range.
        """
        _check("frames", self.frames, 8, 24)
        _check("rate", self.rate, 4.0, 10.0)
        _check("width", self.width, 32, 4096)
        _check("height", self.height, 32, 4096)
        _check("min_objects", self.min_objects, 2, self.max_objects)
        _check("max_objects", self.max_objects, self.min_objects, 8)
        _check("questions_per_type", self.questions_per_type, 1, 16)
        _check("unrelated_questions", self.unrelated_questions, 0, 16)
        for field in fields(self):
            if field.name.endswith("_share"):
                _check(field.name, getattr(self, field.name), 0.0, 1.0)
        if self.wordings not in WORDINGS:
            raise GroundmoreError(
                f"wordings is {self.wordings!r}; expected one of {', '.join(WORDINGS)}"
            )

    @property
    def duration(self) -> float:
        """Seconds from the first frame to the last."""
        return (self.frames - 1) / self.rate


def _check(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise GroundmoreError(f"{name} is {value}; expected {low} to {high}")
