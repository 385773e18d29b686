# SPDX-License-Identifier: Apache-2.0
"""Cached episodes varied for training: other words, mirror images, unsteady eyes."""

from functools import partial
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from groundmore_ros.simulation.facts import FACTS
from groundmore_ros.simulation.rewording import Say, look_name, reword, typed
from groundmore_ros.simulation.unrelated import unrelated
from groundmore_ros.training.cache import CachedEpisode

__all__ = ["asked_anew", "mirrored", "unsteady", "varied"]

UNRELATED_SHARE = 0.5  # of the episodes get a question about what is not there
BOX_NOISE = 0.002  # of the picture's side
QUERY_NOISE = 0.05  # of the queries' own spread
PLACE = "at the start"  # ends the names that tell an object by its place
_SIDES = {"left": "right", "right": "left"}


def varied(episode: CachedEpisode, rng: Generator, say: Say | None = None) -> CachedEpisode:
    """An episode with freshly worded questions, seen a little differently.

    Args:
        episode: as it was seen.
        rng: decides.
        say: words the questions; if None, ``rewording.reword`` with known templates.
    """
    if rng.random() < 0.5:
        episode = mirrored(episode)
    episode = unsteady(episode, rng)
    episode = asked_anew(episode, rng, "known", UNRELATED_SHARE, say)
    questions = [q | {"text": typed(rng, q["text"])} for q in episode.note["questions"]]
    return episode._replace(note=episode.note | {"questions": questions})


def asked_anew(
    episode: CachedEpisode,
    rng: Generator,
    wordings: str,
    unrelated_share: float,
    say: Say | None = None,
) -> CachedEpisode:
    """The same questions in other words, and perhaps one about what is not there.

    Args:
        episode: its questions' texts are not used.
        rng: decides.
        wordings: as in ``rewording.templates_of``.
        unrelated_share: how often a question about what is not there is added.
        say: words the questions, in the place of ``rewording.reword``.
    """
    looks = [(o["colour"], o["shape"]) for o in episode.note["objects"]]
    say = say or partial(reword, wordings=wordings)
    questions = [_reworded(q, looks, rng, say) for q in episode.note["questions"]]
    if rng.random() < unrelated_share:
        questions.append(_about_nothing(*unrelated(rng, looks, wordings, say=say)))
    return episode._replace(note=episode.note | {"questions": questions})


def mirrored(episode: CachedEpisode) -> CachedEpisode:
    """Left and right changed for each other, in what is seen and in what is asked.

    What queries hold is kept: looks hardly depend on it.
    """
    boxes, places, facts = episode.boxes.copy(), episode.places.copy(), episode.facts.copy()
    boxes[..., 0] = np.where(episode.valid[:, None], 1 - boxes[..., 0], boxes[..., 0])
    places[..., 0] *= -1
    facts[:, list(FACTS).index("right")] *= -1
    return episode._replace(
        boxes=boxes,
        places=places,
        facts=facts,
        pictures=episode.pictures[:, :, ::-1].copy(),
        note=episode.note | {"questions": [_turned(q) for q in episode.note["questions"]]},
    )


def unsteady(episode: CachedEpisode, rng: Generator) -> CachedEpisode:
    """Tracks in another order, their boxes and queries a little off."""
    order = rng.permutation(len(episode.valid))
    place = np.argsort(order)  # where each track has gone
    boxes, queries = episode.boxes[order], episode.queries[order]
    there = episode.valid[order, None, None]
    spread = QUERY_NOISE * float(queries.std(dtype=np.float32))
    track_of = episode.track_of
    return episode._replace(
        boxes=_noisy(boxes, BOX_NOISE * there, rng),
        queries=_noisy(queries, spread * there, rng),
        scores=episode.scores[order],
        present=episode.present[order],
        valid=episode.valid[order],
        object_of=episode.object_of[order],
        track_of=np.where(track_of >= 0, place[track_of], -1).astype(np.int8),
    )


def _noisy(
    values: NDArray[np.float16], spread: NDArray[np.floating[Any]], rng: Generator
) -> NDArray[np.float16]:
    noise = rng.standard_normal(values.shape, np.float32) * spread
    return np.asarray(values + noise, np.float16)


def _turned(question: dict[str, Any]) -> dict[str, Any]:
    """A question with its sides changed; its text has to be worded anew."""
    predicate, name = question["predicate"], question["name"]
    for side, other in _SIDES.items():
        if f"{side}most" in name:
            name = name.replace(f"{side}most", f"{other}most")
            break
    return question | {"predicate": _SIDES.get(predicate, predicate), "name": name}


def _reworded(
    question: dict[str, Any], looks: list[tuple[str, str]], rng: Generator, say: Say
) -> dict[str, Any]:
    name = question["name"]
    if name and PLACE not in name:
        name = look_name(rng, question["named"][0] - 1, looks)
    return question | {"text": say(rng, question["predicate"], name)}


def _about_nothing(text: str, predicate: str) -> dict[str, Any]:
    return {
        "text": text,
        "type": "Unrelated",
        "answer": "nothing",
        "target": None,
        "span": None,
        "predicate": predicate,
        "named": [],
        "name": "",
    }
