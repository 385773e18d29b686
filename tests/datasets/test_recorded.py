# SPDX-License-Identifier: Apache-2.0
"""Bags with truth, a user's questions beside a recording, and simulated episodes."""

from pathlib import Path

import numpy as np
import pytest
from layouts import known
from PIL import Image

from groundmore_ros.datasets import open_dataset
from groundmore_ros.datasets.bag import Bags
from groundmore_ros.datasets.question_file import QuestionFile
from groundmore_ros.errors import SourceError
from groundmore_ros.simulation import generate

SEED = 2_000_000


def test_a_bag_tells_what_its_episode_told(sample: Path) -> None:
    """The first sample is the first test seed, written as a bag: both readers agree."""
    dataset = open_dataset(str(sample))
    assert isinstance(dataset, Bags)
    video = dataset.video(sample.name)
    simulated = open_dataset(str(SEED)).video(str(SEED))
    assert [q.text for q in video.questions] == [q.text for q in simulated.questions]
    for bagged, made in zip(video.questions, simulated.questions, strict=True):
        assert (bagged.type, bagged.answer, bagged.objects) == (
            made.type,
            made.answer,
            made.objects,
        )
        assert list(bagged.frames) == list(made.frames) == list(range(16))
        if made.span is not None:
            assert np.subtract(known(bagged.span), video.stamps[0]) == pytest.approx(made.span)
        for index in (0, 9):
            assert np.array_equal(
                known(video.truth(bagged, index)), known(simulated.truth(made, index))
            )
    # JPEG changes the pictures a little.
    difference = known(video.pictures([4])[0]).astype(int) - simulated.pictures([4])[0]
    assert abs(difference).mean() < 3
    assert simulated.rivals(simulated.questions[0]).keys() == {
        "largest motion",
        "fastest not named",
    }
    assert video.rivals(video.questions[0]).keys() == {"largest motion"}


def test_a_folder_of_bags(sample: Path) -> None:
    dataset = open_dataset(str(sample.parent))
    assert len(dataset.ids) == 3
    assert dataset.video(dataset.ids[2]).questions[0].type == "Causal"


def test_simulated_episodes_are_as_generated() -> None:
    video = open_dataset("1000007:1000009").video("1000008")
    episode = generate(1_000_008)
    assert np.array_equal(known(video.pictures([3])[0]), episode.frames[3])
    assert [q.text for q in video.questions] == [q.text for q in episode.questions]


QUESTIONS = """
bag: {bag}
window: 2
questions:
  - question: Which object moves first?
    at: 3.0
    type: Sequential
    answer: the green brick
    span: [0.4, 1.0]
    masks: drawn
  - question: What falls?
    at: 3.0
    window: 1
    answer: nothing
  - question: What is going on?
    at: 1003.0
"""


def test_a_question_file_beside_a_bag(sample: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(QUESTIONS.format(bag=sample))
    (tmp_path / "drawn").mkdir()
    stamp = 1_002_000_000_000
    drawn = np.zeros((120, 160), np.uint8)
    drawn[10:20, 30:50] = 255
    Image.fromarray(drawn).save(tmp_path / "drawn" / f"{stamp:020d}.png")
    dataset = open_dataset(str(file))
    assert isinstance(dataset, QuestionFile)
    (name,) = dataset.ids
    video = dataset.video(name)
    first, nothing, open_one = video.questions
    assert [video.stamps[i] for i in first.frames] == pytest.approx(np.arange(1001, 1003.1, 0.2))
    assert first.span == pytest.approx((1000.4, 1001.0))
    assert len(nothing.frames) == 6
    assert [q.has_target for q in (first, nothing, open_one)] == [True, False, None]
    masks = [video.truth(first, i) for i in first.frames]
    assert [m is not None for m in masks] == [i == 5 for i in range(11)]
    assert known(masks[5]).sum() == 200
    assert not known(video.truth(nothing, 3)).any()
    assert video.truth(open_one, 3) is None


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("questions: []", "expected `bag` and `questions`"),
        ("bag: a\nquestions: []\nspeed: 3", "unknown speed"),
        ("bag: SAMPLE\nquestions: [{question: What}]", "question 0 is"),
        (
            "bag: SAMPLE\nquestions: [{question: What, at: soon}]",
            "question 0: `at` is 'soon'; expected a number",
        ),
        ("bag: nowhere.mcap\nquestions: [{question: What, at: 1}]", "does not exist"),
        ("bag: SAMPLE\nquestions: ", "expected a list"),
        ("bag: SAMPLE\nrate: fast\nquestions: [{question: What, at: 1}]", "`rate` is 'fast'"),
        ("bag: SAMPLE\nquestions: [{question: What, at: 9999}]", "no frames in the 3 s before"),
        ("bag: SAMPLE\nquestions: [{question: What, at: .inf}]", "`at` is inf"),
        ("bag: SAMPLE\nquestions: [{question: What, at: 1, span: [2, 1]}]", "`span` is"),
        ("bag: [", "cannot be read"),
    ],
)
def test_a_wrong_question_file_is_named(
    tmp_path: Path, sample: Path, text: str, complaint: str
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text.replace("SAMPLE", str(sample)))
    with pytest.raises(SourceError, match=complaint):
        _open(file)


def _open(file: Path) -> None:
    dataset = open_dataset(str(file))
    dataset.video(dataset.ids[0])


def test_simulated_episodes_in_other_words_ask_the_same() -> None:
    known, held_out = (open_dataset("7:9", split) for split in ("known", "held-out"))
    assert known.name != held_out.name
    for video_id in known.ids:
        one, other = (d.video(video_id).questions for d in (known, held_out))
        assert [q.objects for q in one] == [q.objects for q in other]
        assert all(a.text != b.text for a, b in zip(one, other, strict=True))
    with pytest.raises(SourceError, match="expected one of known, validation, held-out"):
        open_dataset("7:9", "valid")
