# SPDX-License-Identifier: Apache-2.0
"""Cached episodes varied for training: other words, questions about nothing, mirror images."""

from typing import Any

import numpy as np
from numpy.random import Generator

from groundmore_ros.simulation.rewording import look_name, reword
from groundmore_ros.simulation.unrelated import unrelated
from groundmore_ros.training.cache import CachedEpisode

__all__ = ["mirrored", "varied"]

UNRELATED_SHARE = 0.5  # of the episodes get a question about what is not there
PLACE = "at the start"  # ends the names that tell an object by its place
_SIDES = {"left": "right", "right": "left"}


def varied(episode: CachedEpisode, rng: Generator) -> CachedEpisode:
    """An episode with freshly worded questions, perhaps in a mirror."""
    if rng.random() < 0.5:
        episode = mirrored(episode)
    looks = [(o["colour"], o["shape"]) for o in episode.note["objects"]]
    questions = [_reworded(q, looks, rng) for q in episode.note["questions"]]
    if rng.random() < UNRELATED_SHARE:
        questions.append(_about_nothing(unrelated(rng, looks)))
    return episode._replace(note=episode.note | {"questions": questions})


def mirrored(episode: CachedEpisode) -> CachedEpisode:
    """Left and right changed for each other, in what is seen and in what is asked.

    What queries hold is kept: looks hardly depend on it.
    """
    boxes, places = episode.boxes.copy(), episode.places.copy()
    boxes[..., 0] = np.where(episode.valid[:, None], 1 - boxes[..., 0], boxes[..., 0])
    places[..., 0] *= -1
    return episode._replace(
        boxes=boxes,
        places=places,
        pictures=episode.pictures[:, :, ::-1].copy(),
        note=episode.note | {"questions": [_turned(q) for q in episode.note["questions"]]},
    )


def _turned(question: dict[str, Any]) -> dict[str, Any]:
    """A question with its sides changed; its text has to be worded anew."""
    predicate, name = question["predicate"], question["name"]
    for side, other in _SIDES.items():
        if f"{side}most" in name:
            name = name.replace(f"{side}most", f"{other}most")
            break
    return question | {"predicate": _SIDES.get(predicate, predicate), "name": name}


def _reworded(
    question: dict[str, Any], looks: list[tuple[str, str]], rng: Generator
) -> dict[str, Any]:
    name = question["name"]
    if name and PLACE not in name:
        name = look_name(rng, question["named"][0] - 1, looks)
    return question | {"text": reword(rng, question["predicate"], name)}


def _about_nothing(text: str) -> dict[str, Any]:
    return {
        "text": text,
        "type": "Referring",
        "answer": "nothing",
        "target": None,
        "span": None,
        "predicate": "unrelated",
        "named": [],
        "name": "",
    }
