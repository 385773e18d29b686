# SPDX-License-Identifier: Apache-2.0
import numpy as np

from groundmore_ros.simulation.facts import FACTS
from groundmore_ros.training.augmentation import mirrored, unsteady, varied
from groundmore_ros.training.cache import CachedEpisode

QUESTIONS = [
    {"text": "What goes left?", "type": "Descriptive", "answer": "the red ball", "target": 1,
     "span": [0.0, 1.0], "predicate": "left", "named": [], "name": ""},
    {"text": "What made the object that is rightmost at the start move?", "type": "Causal",
     "answer": "the red ball", "target": 1, "span": [0.0, 1.0], "predicate": "cause",
     "named": [2], "name": "the object that is rightmost at the start"},
]  # fmt: skip


def _episode() -> CachedEpisode:
    rng = np.random.default_rng(0)
    return CachedEpisode(
        queries=rng.random((2, 3, 4)).astype(np.float16),
        boxes=np.array([[[0.25, 0.5, 0.1, 0.2]] * 3, [[0.0] * 4] * 3], np.float16),
        scores=np.ones((2, 3), np.float16),
        present=np.ones((2, 3), bool),
        valid=np.array([True, False]),
        pictures=rng.integers(0, 255, (3, 4, 6, 3)).astype(np.uint8),
        track_of=np.array([-1, 0, -1], np.int8),
        object_of=np.array([1, 0], np.int8),
        active=np.ones((3, 2), bool),
        places=np.ones((3, 2, 3), np.float32),
        causes=np.zeros(2, np.int8),
        facts=np.ones((2, len(FACTS)), np.float32),
        stamps=np.arange(3.0),
        note={
            "objects": [{"colour": "red", "shape": "ball"}, {"colour": "blue", "shape": "cube"}],
            "questions": QUESTIONS,
        },
    )


def test_a_mirror_turns_what_is_seen_and_what_is_asked() -> None:
    turned = mirrored(_episode())
    assert turned.boxes[0, 0, 0] == np.float16(0.75)
    assert turned.boxes[1, 0, 0] == 0  # where there is no track nothing is turned
    assert (turned.places[..., 0] == -1).all()
    assert turned.facts[0].tolist() == [-1] + [1] * (len(FACTS) - 1)
    assert np.array_equal(turned.pictures[:, :, 0], _episode().pictures[:, :, -1])
    left, cause = turned.note["questions"]
    assert left["predicate"] == "right"
    assert cause["name"] == "the object that is leftmost at the start"


def test_a_mirror_in_a_mirror_is_the_episode() -> None:
    twice, once = mirrored(mirrored(_episode())), _episode()
    assert np.array_equal(twice.boxes, once.boxes)
    assert np.array_equal(twice.facts, once.facts)
    assert twice.note == once.note


def test_varied_questions_keep_their_answers() -> None:
    seen, spelt = set(), 0
    for seed in range(60):
        episode = varied(_episode(), np.random.default_rng(seed))
        asked = episode.note["questions"]
        assert [q["target"] for q in asked[:2]] == [1, 1]
        side = "left" if asked[0]["predicate"] == "left" else "right"
        place = asked[1]["name"].split()[4]
        assert place == ("rightmost" if side == "left" else "leftmost")
        spelt += place in asked[1]["text"].lower()
        assert all(q["answer"] == "nothing" for q in asked[2:])
        seen.add((side, len(asked)))
    assert seen == {("left", 2), ("left", 3), ("right", 2), ("right", 3)}
    assert spelt > 55  # but for slips of typing


def test_unsteady_eyes_see_the_same_objects() -> None:
    rng = np.random.default_rng(0)
    once = _episode()
    orders = set()
    for _ in range(20):
        other = unsteady(once, rng)
        track = int(other.track_of[1])
        orders.add(track)
        assert other.object_of[track] == 1
        assert other.valid[track]
        assert other.track_of[[0, 2]].tolist() == [-1, -1]
        assert np.allclose(other.boxes[track], once.boxes[0], atol=0.01)
        assert not np.array_equal(other.queries[track], once.queries[0])
        assert np.allclose(other.queries[track], once.queries[0], atol=0.1)
        assert (other.boxes[1 - track] == 0).all()  # where there is no track nothing is changed
    assert orders == {0, 1}
