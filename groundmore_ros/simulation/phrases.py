# SPDX-License-Identifier: Apache-2.0
"""The collected phrases of ``wordings/*.txt``: what people say, by section, and what it is for.

A tenth of each section is held out: models are never trained on it, so that it tells whether a
model understands more than the sentences it was shown. Nearly as many serve validation, so that
training may look at how it fares with words of others.
"""

from functools import cache
from pathlib import Path

__all__ = ["USES", "phrases"]

USES = ("known", "validation", "held-out")
FOLDER = Path(__file__).with_name("wordings")


def phrases(section: str, use: str) -> tuple[str, ...]:
    """A section's phrases.

    Args:
        section: a predicate's name, for templates in which ``{a}`` is the object that is named and
            ``{b}`` the same without its article; ``openings`` and ``endings``, around a question
            ``{q}`` or a sentence ``{Q}``; ``nouns`` and ``sentences`` of other worlds.
        use: one of :data:`USES`, or ``all``.
    """
    if use == "all":
        return tuple(phrase for one in USES for phrase in _read(one)[section])
    return _read(use)[section]


@cache
def _read(use: str) -> dict[str, tuple[str, ...]]:
    """Sections are headed by their ``[name]``; ``#`` begins a comment."""
    sections: dict[str, list[str]] = {}
    for line in (FOLDER / f"{use}.txt").read_text("utf-8").splitlines():
        if line.startswith("["):
            section = sections.setdefault(line.strip("[]"), [])
        elif line and not line.startswith("#"):
            section.append(line)
    return {name: tuple(lines) for name, lines in sections.items()}
