# SPDX-License-Identifier: Apache-2.0
import numpy as np
from conftest import tiny_mora
from test_reasoning import TEMPLATES, episode

from groundmore_ros.training.packing import PREDICATES, collate_reasoning


def test_answers_stand_where_they_are_predicted() -> None:
    tokenizer = tiny_mora().tokenizer
    rng = np.random.default_rng(0)
    batch = collate_reasoning([episode(3)], tokenizer, TEMPLATES, rng, most=3)
    ids, asked = batch.ids[0], batch.asked
    for i in range(3):
        first, seg, loc = (int(getattr(asked, n)[i]) for n in ("first", "seg", "loc"))
        assert batch.labels[0, first + 1] == ids[first + 1]
        if asked.track[i] >= 0:
            assert ids[seg + 1] == tokenizer.id_of("[SEG]")
            assert ids[loc + 1] == tokenizer.id_of("[LOC]")
            assert asked.track[i] == 1
            assert asked.inside[i].tolist() == [0, 1, 1, 1, 0]
        else:
            assert (seg, loc) == (-1, -1)


def test_what_is_asked_and_of_whom_is_packed_along() -> None:
    some = episode(2)
    some.note["questions"][1] |= {"predicate": "effect", "named": [2]}
    rng = np.random.default_rng(0)
    asked = collate_reasoning([some], tiny_mora().tokenizer, TEMPLATES, rng, most=2).asked
    found = {
        (PREDICATES[int(p)], int(k)) for p, k in zip(asked.predicate, asked.named, strict=True)
    }
    assert found == {("first", -1), ("effect", 0)}  # object 2 is track 0
