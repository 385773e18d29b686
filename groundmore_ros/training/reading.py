# SPDX-License-Identifier: Apache-2.0
"""Questions to be read without a picture: what is asked has to be known from words alone.

Clips ask what happened in them, so some questions are rare; here each kind is asked as often.
"""

from typing import NamedTuple

import torch
from numpy.random import Generator
from torch import Tensor
from torch.nn import functional

from groundmore_ros.mora.tokenization import MoraTokenizer
from groundmore_ros.simulation.rewording import Exchange, look_name, reword, typed
from groundmore_ros.simulation.unrelated import unrelated
from groundmore_ros.simulation.world import COLOURS, SHAPES
from groundmore_ros.training.packing import PREDICATES, padded, question_ids

__all__ = ["Lessons", "Reading", "draw_asked", "draw_question", "draw_reading"]

OBJECTS = 5  # of the made-up scene that a question may name one of


class Lessons(NamedTuple):
    """Questions and words as a teacher understands them.

    Attributes:
        texts: N questions.
        chances: (N, P) of each predicate being asked, float16.
        words: M of them.
        meanings: (M, W) their embeddings, float16.
    """

    texts: list[str]
    chances: Tensor
    words: list[str]
    meanings: Tensor


class Reading(NamedTuple):
    """Q questions of at most L tokens.

    Attributes:
        ids: (Q, L) tokens from <s> on, padded at the end.
        lengths: (Q,) tokens of each.
        chances: (Q, P) of each predicate being asked, by its place in PREDICATES.
    """

    ids: Tensor
    lengths: Tensor
    chances: Tensor

    def ends(self, hidden: Tensor) -> Tensor:
        """States (Q, E) at the questions' ends, of all (Q, L, E)."""
        return hidden[torch.arange(len(hidden)), self.lengths - 1]

    def there(self) -> Tensor:
        """Which tokens are no padding (Q, L)."""
        return torch.arange(self.ids.shape[1])[None] < self.lengths[:, None]


def draw_reading(
    rng: Generator,
    count: int,
    tokenizer: MoraTokenizer,
    conversation: str,
    lessons: Lessons | None = None,
) -> Reading:
    """Questions in known words, of kinds that are equally likely; half of them from lessons.

    Args:
        rng: decides.
        count: Q, at least 1.
        tokenizer: the model's.
        conversation: the template that questions are put in.
        lessons: questions in other words, where there are any.
    """
    taught = [] if lessons is None else rng.integers(len(lessons.texts), size=count // 2).tolist()
    texts, predicate = draw_asked(rng, count - len(taught))
    chances = functional.one_hot(predicate, len(PREDICATES)).float()
    if lessons is not None:
        texts += [lessons.texts[i] for i in taught]
        chances = torch.cat([chances, lessons.chances[taught].float()])
    rows = [question_ids(tokenizer, conversation, text) for text in texts]
    lengths = [len(row) for row in rows]
    return Reading(padded(rows, max(lengths), 0), torch.tensor(lengths), chances)


def draw_asked(rng: Generator, count: int) -> tuple[list[str], Tensor]:
    """Questions in known words and their predicates (Q,), by their places in PREDICATES."""
    drawn = [draw_question(rng) for _ in range(count)]
    return [text for text, _ in drawn], torch.tensor([PREDICATES.index(p) for _, p in drawn])


def draw_question(
    rng: Generator, wordings: str = "known", exchange: Exchange | None = None
) -> tuple[str, str]:
    """A question and its predicate; ``wordings`` and ``exchange`` as in ``rewording.reword``."""
    looks = [
        (str(rng.choice(list(COLOURS))), str(rng.choice(list(SHAPES)))) for _ in range(OBJECTS)
    ]
    predicate = PREDICATES[int(rng.integers(len(PREDICATES)))]
    if predicate == "unrelated":
        text, predicate = unrelated(rng, looks, wordings, exchange)
    else:
        name = look_name(rng, int(rng.integers(OBJECTS)), looks)
        text = reword(rng, predicate, name, wordings, exchange)
    return (typed(rng, text) if wordings == "known" else text), predicate
