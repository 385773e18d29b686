# SPDX-License-Identifier: Apache-2.0
"""Freer words for the same questions: more templates, openings and endings, synonyms, loose typing.

A tenth of the templates, openings and endings is held out: models are never trained on them, so
that they tell whether a model understands more than the sentences it was shown. Others serve
validation, so that training may look at how it fares with words of others.
"""

import re
from functools import cache
from pathlib import Path

import numpy as np
import yaml
from numpy.random import Generator

from groundmore_ros.simulation.wording import REFERRING, TEMPLATES

__all__ = ["look_name", "paraphrase", "reword", "templates_of", "typed"]

WORDS = Path(__file__).with_name("wordings.yaml")


@cache
def _free() -> dict[str, dict[str, tuple[str, ...]]]:
    """Templates of each predicate by what they are for: known, held-out, validation."""
    read = yaml.safe_load(WORDS.read_text("utf-8"))
    return {p: {use: tuple(group) for use, group in uses.items()} for p, uses in read.items()}


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
# Phrases that may stand for each other, a group a line.
_SYNONYMS = """
object | thing | item | body | piece
objects | things | items
show me | find | point out | mark | highlight | identify | locate | pick out | indicate | spot
starts moving | starts to move | begins to move | sets off | gets going | moves off
started moving | started to move | began to move | set off | got going | moved off
start moving | start to move | begin to move | set off | get going
is moving | moves
stops | stops moving | comes to rest | comes to a halt | comes to a stop | halts
right after | directly after | just after | immediately after | straight after
right before | directly before | just before | immediately before
fastest | quickest | speediest | swiftest
first mover | earliest mover | first object to move | first thing to move
the whole time | all the time | throughout | from start to finish | the entire time
pushed | shoved | hit | struck | bumped
would not have moved | would have stayed still | would have stayed where it was | \
would have remained at rest | would never have moved | would have stayed put
would have moved anyway | would still have moved | would have moved all the same | \
would have moved regardless
hadn't been there | had not been there | had been missing | weren't there | were not there
in the absence of | without | but for
stays | remains
falls over | tips over | topples | keels over | topples over | tumbles over
falls down | drops down | tumbles down
goes up | flies up | rises
the camera | the viewer | us
picture | image | frame | shot | view
container | box | bin | tray
ramp | slope | incline
clip | video | footage | recording
to the left | leftward | toward the left | leftwards
to the right | rightward | toward the right | rightwards
farthest | furthest
"""
FILLERS = ("just", "actually", "really", "now", "then", "here", "um", "so", "ok", "maybe")
SMALL = frozenset({"the", "a", "an", "is", "are", "was", "that", "of", "to", "it", "did", "does"})
SYNONYMS = tuple(
    tuple(phrase.strip() for phrase in line.split("|"))
    for line in _SYNONYMS.replace("\\\n", "").strip().splitlines()
)
PARAPHRASED = 0.35  # share of questions that get an opening; half as many get an ending
EXCHANGED = (0.6, 0.5)  # share of questions that get synonyms, and of the phrases in these


def templates_of(predicate: str, wordings: str) -> tuple[str, ...]:
    """The templates of a predicate: ``known``, ``validation``, ``held-out`` or ``all``."""
    plain = REFERRING if predicate == "referring" else TEMPLATES[predicate]
    free = _free()[predicate]
    if wordings == "known":
        return plain + free["known"]
    if wordings == "all":
        return plain + tuple(t for group in free.values() for t in group)
    return free[wordings]


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
    if chance[0] < EXCHANGED[0] and wordings in ("known", "all"):
        text = _with_synonyms(text, float(part[2]))
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


def typed(rng: Generator, text: str) -> str:
    """A text as people type it: now and then a word too many or too few, or a slip."""
    words = text.split()
    slip, at = rng.random(), int(rng.integers(len(words)))
    if slip < 0.07:
        words.insert(at, str(rng.choice(FILLERS)))
    elif slip < 0.14:
        small = [i for i, w in enumerate(words) if w in SMALL]
        if small:
            del words[small[at % len(small)]]
    elif slip < 0.20 and len(words[at]) >= 4:
        words[at] = _misspelt(rng, words[at])
    return " ".join(words)


def _misspelt(rng: Generator, word: str) -> str:
    i = int(rng.integers(1, len(word) - 1))
    slips = (word[:i] + word[i + 1 :], word[: i + 1] + word[i:])
    return (*slips, word[:i] + word[i + 1] + word[i] + word[i + 2 :])[int(rng.integers(3))]


def _pick(pool: tuple[str, ...], part: float, wordings: str) -> str:
    allowed = {"held-out": pool[-2:], "all": pool}.get(wordings, pool[:-2])
    return allowed[int(part * len(allowed))]


def _with_synonyms(text: str, part: float) -> str:
    """Some phrases replaced by others of the same sense."""
    # A generator of its own: the caller draws as often whatever is found.
    rng = np.random.default_rng(int(part * 2**32))
    for pattern, group in _patterns():
        if rng.random() < EXCHANGED[1]:
            other = str(rng.choice(group))
            text = pattern.sub(other, text, count=1)
    return text


@cache
def _patterns() -> list[tuple[re.Pattern[str], tuple[str, ...]]]:
    def pattern(group: tuple[str, ...]) -> re.Pattern[str]:
        longest_first = sorted(group, key=len, reverse=True)
        return re.compile(rf"\b({'|'.join(longest_first)})\b", re.IGNORECASE)

    return [(pattern(group), group) for group in SYNONYMS]


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
