# SPDX-License-Identifier: Apache-2.0
"""Freer words for the same questions: more templates, openings and endings, synonyms, loose typing.

What is there to choose from, and what of it is held out, is in :mod:`.phrases`.
"""

import re
from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.random import Generator

from groundmore_ros.simulation import patterns
from groundmore_ros.simulation.phrases import phrases
from groundmore_ros.simulation.wording import REFERRING, TEMPLATES

__all__ = [
    "Exchange",
    "Say",
    "look_name",
    "paraphrase",
    "plain",
    "reword",
    "strange",
    "templates_of",
    "typed",
]

# Puts other words into a text.
Exchange = Callable[[Generator, str], str]
# Words a question of a predicate; the name is "" where it names no object.
Say = Callable[[Generator, str, str], str]

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
FILLERS = (
    *("just", "actually", "really", "now", "then", "here", "um", "so", "ok", "maybe", "please"),
    *("basically", "honestly", "exactly", "precisely", "clearly", "apparently", "presumably"),
    *("perhaps", "somehow", "well", "again", "though", "say", "like", "you know", "by the way"),
    *("of course", "I guess", "I think", "I suppose", "if any", "in fact", "for instance"),
)
SMALL = frozenset({"the", "a", "an", "is", "are", "was", "that", "of", "to", "it", "did", "does"})
SYNONYMS = tuple(
    tuple(phrase.strip() for phrase in line.split("|"))
    for line in _SYNONYMS.replace("\\\n", "").strip().splitlines()
)
PARAPHRASED = 0.35  # share of questions that get an opening; half as many get an ending
PATTERNED = 0.4  # share of questions made from patterns, where there are any
EXCHANGED = (0.6, 0.5)  # share of the others that get synonyms, and of the phrases in these


def templates_of(predicate: str, wordings: str) -> tuple[str, ...]:
    """The templates of a predicate: ``known``, ``validation``, ``held-out`` or ``all``.

    The exam's own count as known.
    """
    exam = REFERRING if predicate == "referring" else TEMPLATES[predicate]
    free = phrases(predicate, wordings)
    return exam + free if wordings in ("known", "all") else free


def reword(
    rng: Generator,
    predicate: str,
    name: str,
    wordings: str = "known",
    exchange: Exchange | None = None,
) -> str:
    """Put a question in other words.

    Args:
        rng: decides the template and what is done to it.
        predicate: as in :class:`~groundmore_ros.simulation.questions.Question`.
        name: "the red ball", where the question names an object.
        wordings: which templates may be used.
        exchange: what is done to the words of known ones.
    """
    # A generator of its own, so that wordings can be compared question by question.
    own = np.random.default_rng(int(rng.integers(2**32)))
    text = _template(own, predicate, wordings, exchange)
    text = text.replace("{a}", name).replace("{b}", name.removeprefix("the "))
    return paraphrase(rng, _sentence(text), wordings, exchange)


def _template(
    rng: Generator, predicate: str, wordings: str, exchange: Exchange | None = None
) -> str:
    """A template; a known one varied, but never into one that training may not see."""
    pool = templates_of(predicate, wordings)
    if wordings != "known":
        return pool[int(rng.integers(len(pool)))]
    while True:
        text = pool[int(rng.integers(len(pool)))]
        drawn = patterns.draw(rng, predicate, strange) if rng.random() < PATTERNED else None
        if drawn:
            text = drawn  # its words are varied already, and synonyms know no grammar
        elif rng.random() < EXCHANGED[0]:
            text = _with_synonyms(rng, text)
        if exchange:
            text = exchange(rng, text)
        if plain(text) not in _reserved():
            return text


def plain(template: str) -> str:
    """A template without what makes no difference to what is read."""
    text = template.lower().replace("{b}", "{a}").replace("the {a}", "{a}")
    return re.sub(r"[^a-z{} ]", "", text)


@cache
def _reserved() -> frozenset[str]:
    """What training may not see, of any predicate."""
    kept = ("validation", "held-out")
    predicates = (*TEMPLATES, "referring")
    return frozenset(plain(t) for p in predicates for use in kept for t in phrases(p, use))


def paraphrase(rng: Generator, text: str, wordings: str, exchange: Exchange | None = None) -> str:
    """Perhaps change a question's form, not its sense; ``exchange`` as in :func:`reword`."""
    # The same draws whatever is allowed, so that wordings can be compared question by question.
    chance, part = rng.random(4), rng.random(2)
    if chance[0] < PARAPHRASED:
        opening = _pick("openings", float(part[0]), wordings)
        opening = exchange(rng, opening) if exchange else opening
        text = opening.replace("{q}", text[0].lower() + text[1:]).replace("{Q}", text)
    if chance[1] < PARAPHRASED / 2:
        ending = _pick("endings", float(part[1]), wordings)
        text = (exchange(rng, ending) if exchange else ending).replace("{q}", text)
    if chance[2] < 0.1:
        text = text.rstrip("?.!")
    if chance[3] < 0.1:
        text = text.lower()
    return text if chance[3] < 0.1 else _sentence(text)


def typed(rng: Generator, text: str) -> str:
    """A text as people type it: now and then a word too many or too few, a slip, a strange word."""
    words = text.split()
    slip, at = rng.random(), int(rng.integers(len(words)))
    if slip < 0.07:
        words.insert(at, str(rng.choice(FILLERS)))
    elif slip < 0.14:
        small = [i for i, w in enumerate(words) if w in SMALL]
        if small:
            del words[small[at % len(small)]]
    elif slip < 0.20:
        words[at] = _misspelt(rng, words[at])
    elif slip < 0.27:
        words.insert(at, strange(rng))
    return " ".join(words)


def strange(rng: Generator) -> str:
    """A word that there is not. Among known ones it need not mean "nothing"."""
    first, second = (str(w) for w in rng.choice(_words(), 2))
    return first[: (len(first) + 1) // 2] + second[len(second) // 2 :]


@cache
def _words() -> tuple[str, ...]:
    """Long words of openings, endings and other worlds."""
    texts = [t for s in ("openings", "endings", "sentences") for t in phrases(s, "known")]
    return tuple(sorted(set(re.findall(r"[a-z]{4,}", " ".join(texts).lower()))))


def _misspelt(rng: Generator, word: str) -> str:
    if len(word) < 4:
        return word
    i = int(rng.integers(1, len(word) - 1))
    slips = (word[:i] + word[i + 1 :], word[: i + 1] + word[i:])
    return (*slips, word[:i] + word[i + 1] + word[i] + word[i + 2 :])[int(rng.integers(3))]


def _pick(section: str, part: float, wordings: str) -> str:
    pool = phrases(section, wordings)
    return pool[int(part * len(pool))]


def _with_synonyms(rng: Generator, text: str) -> str:
    """Some phrases replaced by others of the same sense."""
    for found, group in _synonyms():
        if rng.random() < EXCHANGED[1]:
            text = found.sub(str(rng.choice(group)), text, count=1)
    return text


@cache
def _synonyms() -> list[tuple[re.Pattern[str], tuple[str, ...]]]:
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
