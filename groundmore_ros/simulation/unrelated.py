# SPDX-License-Identifier: Apache-2.0
"""Questions that nothing in the picture answers: about absent objects, other worlds, or nothing.

Some nouns and sentences are held out, as :mod:`groundmore_ros.simulation.phrases` tells.
"""

from functools import cache, partial

from numpy.random import Generator

from groundmore_ros.simulation.phrases import phrases
from groundmore_ros.simulation.rewording import (
    Exchange,
    Say,
    paraphrase,
    reword,
    strange,
    templates_of,
)
from groundmore_ros.simulation.wording import TEMPLATES
from groundmore_ros.simulation.world import COLOURS, SHAPES

__all__ = ["unrelated"]

COINED = 0.3  # share of the known nouns of other worlds that are made up
_SYLLABLES = "ba ko ri mu ten sol fa qui zor plex dra nim ost wug ghee vle tri"
SYLLABLES = _SYLLABLES.split()


def unrelated(
    rng: Generator,
    looks: list[tuple[str, str]],
    wordings: str = "known",
    exchange: Exchange | None = None,
    say: Say | None = None,
) -> tuple[str, str]:
    """A question to which "nothing" is the right answer, and its predicate.

    The predicate is "unrelated" where it is none of a clip's.

    Args:
        rng: decides.
        looks: colour and shape of every object of the scene.
        wordings: ``known``, ``validation``, ``held-out`` or ``all``.
        exchange: what is done to the words of known ones.
        say: words questions about what is not there, in the place of ``rewording.reword``.
    """
    kind = rng.choice(["absent", "foreign", "sentence", "babble"], p=[0.45, 0.4, 0.12, 0.03])
    if kind == "sentence":
        text = _pick(rng, "sentences", wordings)
        text = exchange(rng, text) if exchange else text
        return paraphrase(rng, text, wordings, exchange), "unrelated"
    if kind == "babble":
        words = [
            "".join(rng.choice(SYLLABLES, rng.integers(1, 4))) for _ in range(rng.integers(1, 6))
        ]
        return " ".join(words).capitalize() + "?", "unrelated"
    name = f"the {_absent(rng, looks)}" if kind == "absent" else _foreign(rng, wordings)
    predicates = [p for p, group in TEMPLATES.items() if any("{a}" in t for t in group)]
    predicate = "referring" if rng.random() < 0.5 else str(rng.choice(predicates))
    if kind == "foreign" and rng.random() < 0.3:
        text, predicate = _with_noun(rng, name, wordings)
        return paraphrase(rng, text, wordings, exchange), predicate
    say = say or partial(reword, wordings=wordings, exchange=exchange)
    return say(rng, predicate, name), predicate


def _pick(rng: Generator, kind: str, wordings: str) -> str:
    pool = phrases(kind, wordings)
    return pool[int(rng.integers(len(pool)))]


def _absent(rng: Generator, looks: list[tuple[str, str]]) -> str:
    """A colour and shape, or one of them, that no object has."""
    colours = [c for c in COLOURS if all(c != colour for colour, _ in looks)]
    shapes = [s for s in SHAPES if all(s != shape for _, shape in looks)]
    choice = rng.random()
    if choice < 0.3:
        return f"{rng.choice(colours)} {rng.choice(['object', 'thing', 'one'])}"
    if choice < 0.4 and shapes:
        return str(rng.choice(shapes))
    pairs = [(c, s) for c in COLOURS for s in SHAPES if (c, s) not in looks]
    colour, shape = pairs[int(rng.integers(len(pairs)))]
    return f"{colour} {shape}"


def _foreign(rng: Generator, wordings: str) -> str:
    # A noun that is not understood does mean something that is not there.
    coined = wordings == "known" and rng.random() < COINED
    noun = strange(rng) if coined else _pick(rng, "nouns", wordings)
    if rng.random() < 0.4:
        noun = f"{rng.choice(list(COLOURS))} {noun}"
    return f"the {noun}"


def _with_noun(rng: Generator, name: str, wordings: str) -> tuple[str, str]:
    """Ask which dog falls over; the predicate as well."""
    named = _with_generic_nouns(wordings)
    template, word, predicate = named[int(rng.integers(len(named)))]
    return template.replace(f"Which {word}", f"Which {name.removeprefix('the ')}"), predicate


@cache
def _with_generic_nouns(wordings: str) -> list[tuple[str, str, str]]:
    """Templates that ask "Which object", with that noun and their predicate."""
    return [
        (template, word, predicate)
        for predicate in TEMPLATES
        for template in templates_of(predicate, wordings)
        for word in ("object", "thing", "one")
        if "{a}" not in template and "{b}" not in template and f"Which {word}" in template
    ]
