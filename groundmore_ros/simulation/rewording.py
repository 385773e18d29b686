# SPDX-License-Identifier: Apache-2.0
"""Freer words for the same questions: more templates, openings and endings, synonyms, loose typing.

A tenth of the templates, openings and endings is held out: models are never trained on them, so
that they tell whether a model understands more than the sentences it was shown.
"""

import re

import numpy as np
from numpy.random import Generator

from groundmore_ros.simulation.wording import REFERRING, TEMPLATES

__all__ = ["HELD_OUT", "look_name", "paraphrase", "reword", "templates_of"]

# The last template of each is held out.
FREER: dict[str, tuple[str, ...]] = {
    "fastest": (
        "Which object has the greatest speed?",
        "What races ahead of all the others?",
        "Show me whatever is moving fastest.",
        "Nothing else is as fast as which object?",
    ),
    "slowest": (
        "Of everything that moves, what is the least quick?",
        "Which mover creeps along at the lowest speed?",
        "What moves the least fast?",
        "Which of the things in motion takes its time the most?",
    ),
    "farthest": (
        "Which object makes the longest way?",
        "What ends up the greatest distance from its starting point?",
        "Whose journey is the longest?",
    ),
    "left": (
        "What is displaced to the left?",
        "Which object drifts leftward?",
        "What ends up more to the left?",
    ),
    "right": (
        "What is displaced to the right?",
        "Which object drifts rightward?",
        "What ends up more to the right?",
    ),
    "closer": (
        "Which object gets nearer to us?",
        "What moves to the front?",
        "Which thing reduces its distance to the camera?",
    ),
    "away": (
        "Which object gets farther from us?",
        "What moves to the back?",
        "Which thing increases its distance to the camera?",
    ),
    "topples": (
        "What loses its balance?",
        "Which object is upright first and lies down later?",
        "What gets overturned?",
        "Which thing does not stay on its feet?",
    ),
    "drops": (
        "What tumbles down?",
        "Which object sinks to a lower place?",
        "What plunges downward?",
    ),
    "rises": (
        "Which object flies through the air?",
        "What is tossed upward?",
        "Which thing takes off?",
    ),
    "descends": (
        "Which object uses the ramp?",
        "What travels down the inclined board?",
        "Which thing gathers speed on the slope?",
    ),
    "lands_in": (
        "What comes to rest inside the container?",
        "Which object is thrown into the box?",
        "What finds its way into the open box?",
    ),
    "still": (
        "What is the one thing without any motion?",
        "Which object is at rest all along?",
        "What does nothing at all?",
        "Which thing stays in place while the others move?",
    ),
    "leaves": (
        "What moves out of view?",
        "Which object can no longer be seen at the end?",
        "What wanders off the image?",
    ),
    "enters": (
        "What moves into the picture?",
        "Which object shows up later?",
        "What wanders into the image?",
    ),
    "first": (
        "What moves before all others?",
        "Which object opens the sequence of motions?",
        "Who is the first to move?",
        "With which object does it all start?",
    ),
    "second": (
        "Which object is number two to move?",
        "What is the second thing to get going?",
        "Right after the earliest mover, what sets off?",
    ),
    "last": (
        "What waits the longest before it moves?",
        "Which object joins the motion last?",
        "Who is the last to start?",
        "What closes the sequence of motions?",
    ),
    "after": (
        "Which object is next to move after {a}?",
        "What gets going as soon as {a} has started?",
        "Who moves directly after {a}?",
        "{a} starts; what comes next?",
        "Which object is the successor of {a} in motion?",
    ),
    "before": (
        "Which object was the last to start before {a}?",
        "What was set in motion directly before {a}?",
        "Who moves directly before {a}?",
        "What started immediately ahead of {a}?",
        "Which object is the predecessor of {a} in motion?",
    ),
    "stops_first": (
        "Which moving thing is done first?",
        "What ceases to move before the rest?",
        "Who is the first to come to a halt?",
    ),
    "stops_last": (
        "Which moving thing is done last?",
        "What ceases to move after the rest?",
        "Who is the last to come to a halt?",
    ),
    "cause": (
        "What is the reason that {a} moves?",
        "What bumped into {a}?",
        "Who moved {a}?",
        "Which object is behind the motion of {a}?",
        "What brought {a} out of its rest?",
    ),
    "effect": (
        "What did {a} bump into and move?",
        "What is moved by {a}?",
        "Which object gets its motion from {a}?",
        "Who was moved by {a}?",
        "What did {a} bring out of its rest?",
    ),
    "pusher": (
        "What gives another object a push?",
        "Which object passes its motion on?",
        "What knocks something else out of its place?",
        "Who is the one that pushes?",
    ),
    "pushed": (
        "What gets its motion from another object?",
        "Which object would not move by itself but is made to?",
        "What is knocked out of its place?",
        "Who is the one that gets pushed?",
    ),
    "without": (
        "What depends on {a} for its motion?",
        "If there were no {b}, what would not move?",
        "Which object would not have gone anywhere without {a}?",
        "Think {a} away: what stays at rest?",
        "Whose motion would never have come about without {a}?",
    ),
    "still_moves": (
        "What moves independently of {a}?",
        "If there were no {b}, what would move even so?",
        "Think {a} away: what is in motion still?",
        "Whose motion would have come about without {a} as well?",
    ),
    "without_first": (
        "What depends on the first mover for its motion?",
        "Think the first mover away: what stays at rest?",
        "Whose motion needed the very first mover?",
    ),
    "without_fastest": (
        "What depends on the fastest mover for its motion?",
        "Think the quickest thing away: what stays at rest?",
        "Whose motion needed the fastest object?",
    ),
    "first_still_moves": (
        "What moves independently of the first mover?",
        "Think the first mover away: what is in motion still?",
        "Whose motion did not need the very first mover?",
    ),
    "referring": (
        "Point at {a}.",
        "Can you see {a}?",
        "Track {a}.",
        "I am looking for {a}.",
        "Highlight {a}.",
    ),
}

HELD_OUT = frozenset(group[-1] for group in FREER.values())

# What may stand around a question; of both, the last two are held out.
OPENINGS = (
    "{q}",
    "Please tell me: {q}",
    "Hey robot, {q}",
    "Look at the clip. {Q}",
    "I want to know: {q}",
    "Tell me, {q}",
    "Watch closely: {q}",
    "In this video, {q}",
    "Quick question: {q}",
    "Can you say {q}",
    "Well, {q}",
    "Now, {q}",
    "Judging by the frames, {q}",
    "One more thing: {q}",
)
ENDINGS = (
    "{q}",
    "{q} Show it.",
    "{q} Thanks!",
    "{q} Mark it, please.",
    "{q} Segment it.",
    "{q} I cannot tell.",
    "{q} Point it out.",
)
SYNONYMS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("object", ("item", "thing", "body")),
    ("thing", ("item", "object")),
    ("moves", ("is moving",)),
    ("starts", ("begins",)),
    ("fastest", ("quickest",)),
    ("stays", ("remains",)),
    ("right after", ("directly after", "just after")),
    ("right before", ("directly before", "just before")),
    ("the camera", ("us", "the viewer")),
)
PARAPHRASED = 0.35  # share of questions that get an opening, an ending or a synonym


def templates_of(predicate: str, wordings: str) -> tuple[str, ...]:
    """The templates of a predicate: ``known``, ``held-out`` or ``all``."""
    plain = REFERRING if predicate == "referring" else TEMPLATES[predicate]
    every = plain + FREER[predicate]
    if wordings == "all":
        return every
    return tuple(t for t in every if (t in HELD_OUT) == (wordings == "held-out"))


def reword(rng: Generator, predicate: str, name: str, wordings: str = "known") -> str:
    """Put a question in other words.

    Args:
        rng: decides the template and what is done to it.
        predicate: as in :class:`~groundmore_ros.simulation.questions.Question`.
        name: "the red ball", where the question names an object.
        wordings: which templates may be used.
    """
    pool = templates_of(predicate, wordings)
    text = pool[int(rng.integers(len(pool)))]
    text = text.replace("{a}", name).replace("{b}", name.removeprefix("the "))
    return paraphrase(rng, _sentence(text), wordings)


def paraphrase(rng: Generator, text: str, wordings: str) -> str:
    """Perhaps change a question's form, not its sense."""
    # The same draws whatever is allowed, so that wordings can be compared question by question.
    chance, part = rng.random(6), rng.random(3)
    if chance[0] < PARAPHRASED and wordings != "held-out":
        text = _with_synonym(text, float(part[2]))
    if chance[1] < PARAPHRASED:
        opening = _pick(OPENINGS, float(part[0]), wordings)
        text = opening.replace("{q}", text[0].lower() + text[1:]).replace("{Q}", text)
    if chance[2] < PARAPHRASED / 2:
        text = _pick(ENDINGS, float(part[1]), wordings).replace("{q}", text)
    if chance[3] < 0.1:
        text = text.rstrip("?.!")
    if chance[4] < 0.1:
        text = text.lower()
    return text if chance[4] < 0.1 else _sentence(text)


def _pick(pool: tuple[str, ...], part: float, wordings: str) -> str:
    allowed = {"known": pool[:-2], "held-out": pool[-2:], "all": pool}[wordings]
    return allowed[int(part * len(allowed))]


def _with_synonym(text: str, part: float) -> str:
    """One word replaced by another of the same sense."""
    found = [(w, s) for w, s in SYNONYMS if re.search(rf"\b{w}\b", text)]
    if not found:
        return text
    word, others = found[int(part * len(found))]
    return re.sub(rf"\b{word}\b", others[int(part * 97) % len(others)], text, count=1)


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]


def look_name(rng: Generator, k: int, looks: list[tuple[str, str]]) -> str:
    """What to call object k of a scene: by colour and shape, or by one of them if that is enough.

    Args:
        rng: decides.
        k: from 0.
        looks: colour and shape of every object of the scene.
    """
    colour, shape = looks[k]
    options: list[tuple[str, float]] = [(f"the {colour} {shape}", 0.6)]
    if sum(c == colour for c, _ in looks) == 1:
        options.append((f"the {colour} {rng.choice(['object', 'thing', 'one'])}", 0.25))
    if sum(s == shape for _, s in looks) == 1:
        options.append((f"the {shape}", 0.15))
    weights = np.array([w for _, w in options])
    return options[int(rng.choice(len(options), p=weights / weights.sum()))][0]
