# SPDX-License-Identifier: Apache-2.0
"""Wordings put together from phrases: a small grammar, in ``patterns.yaml``."""

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from numpy.random import Generator

__all__ = ["draw"]

GRAMMAR = Path(__file__).with_name("patterns.yaml")
VERB = "{verb}"
_PHRASE = re.compile(r"<([^<>]+)>")
_CHOICE = re.compile(r"\[([^\[\]]*)\]")  # innermost first


def draw(rng: Generator, predicate: str, coined: Callable[[Generator], str]) -> str | None:
    """A template of a predicate; None where the grammar has no pattern for it.

    Args:
        rng: decides.
        predicate: as in :class:`~groundmore_ros.simulation.questions.Question`.
        coined: makes a word that there is not.
    """
    text = _drawn(rng, predicate)
    if text and VERB in text:
        text = text.replace(VERB, coined(rng))
    return text


def _drawn(rng: Generator, predicate: str) -> str | None:
    patterns = _grammar()["patterns"].get(predicate)
    if patterns is None:
        return None
    if isinstance(patterns, list):
        return _expanded(rng, patterns[int(rng.integers(len(patterns)))])
    if "own" in patterns and rng.random() < 0.5:
        return _drawn(rng, patterns["own"])
    # Like other patterns, perhaps of an object that is not named but described.
    text = _drawn(rng, patterns["like"]) or ""
    for slot in ("a", "b"):
        if slot in patterns:
            text = text.replace(f"{{{slot}}}", patterns[slot])
    return _expanded(rng, text)


@cache
def _grammar() -> dict[str, Any]:
    grammar: dict[str, Any] = yaml.safe_load(GRAMMAR.read_text("utf-8"))
    return grammar


def _expanded(rng: Generator, text: str) -> str:
    while found := _PHRASE.search(text):
        text = text.replace(found[0], _grammar()["phrases"][found[1]], 1)
    while found := _CHOICE.search(text):
        options = found[1].split("|")
        chosen = options[int(rng.integers(len(options)))]
        text = text[: found.start()] + chosen + text[found.end() :]
    return " ".join(text.split())
