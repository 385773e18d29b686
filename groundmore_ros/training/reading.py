# SPDX-License-Identifier: Apache-2.0
"""Questions to be read without a picture: what is asked has to be known from words alone.

Clips ask what happened in them, so some questions are rare; here each kind is asked as often.
"""

from typing import NamedTuple

import torch
from numpy.random import Generator
from torch import Tensor

from groundmore_ros.mora.tokenization import MoraTokenizer
from groundmore_ros.simulation.rewording import look_name, reword, typed
from groundmore_ros.simulation.unrelated import unrelated
from groundmore_ros.simulation.world import COLOURS, SHAPES
from groundmore_ros.training.packing import PREDICATES, padded, question_ids

__all__ = ["Reading", "draw_question", "draw_reading"]

OBJECTS = 5  # of the made-up scene that a question may name one of


class Reading(NamedTuple):
    """Q questions of at most L tokens.

    Attributes:
        ids: (Q, L) tokens from <s> on, padded at the end.
        lengths: (Q,) tokens of each.
        predicate: (Q,) what is asked, by its place in PREDICATES.
    """

    ids: Tensor
    lengths: Tensor
    predicate: Tensor

    def ends(self, hidden: Tensor) -> Tensor:
        """States (Q, E) at the questions' ends, of all (Q, L, E)."""
        return hidden[torch.arange(len(hidden)), self.lengths - 1]

    def there(self) -> Tensor:
        """Which tokens are no padding (Q, L)."""
        return torch.arange(self.ids.shape[1])[None] < self.lengths[:, None]


def draw_reading(
    rng: Generator, count: int, tokenizer: MoraTokenizer, conversation: str
) -> Reading:
    """Questions in known words, of kinds that are equally likely.

    Args:
        rng: decides.
        count: Q, at least 1.
        tokenizer: the model's.
        conversation: the template that questions are put in.
    """
    drawn = [draw_question(rng) for _ in range(count)]
    rows = [question_ids(tokenizer, conversation, text) for text, _ in drawn]
    lengths = [len(row) for row in rows]
    predicate = torch.tensor([PREDICATES.index(p) for _, p in drawn])
    return Reading(padded(rows, max(lengths), 0), torch.tensor(lengths), predicate)


def draw_question(rng: Generator, wordings: str = "known") -> tuple[str, str]:
    """A question and its predicate; ``wordings`` as in ``rewording.templates_of``."""
    looks = [
        (str(rng.choice(list(COLOURS))), str(rng.choice(list(SHAPES)))) for _ in range(OBJECTS)
    ]
    predicate = PREDICATES[int(rng.integers(len(PREDICATES)))]
    if predicate == "unrelated":
        text, predicate = unrelated(rng, looks, wordings)
    else:
        name = look_name(rng, int(rng.integers(OBJECTS)), looks)
        text = reword(rng, predicate, name, wordings)
    return (typed(rng, text) if wordings == "known" else text), predicate
