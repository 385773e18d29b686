# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest
from conftest import clip
from lisa_layout import write_lisa

from groundmore_ros.errors import ModelError
from groundmore_ros.mora import Mora
from groundmore_ros.mora.bench import bench_loading, bench_question, bench_together
from groundmore_ros.mora.plain import plain_answer


def test_all_ways_to_answer_give_the_same_masks(tmp_path: Path) -> None:
    mora = Mora.from_pretrained(write_lisa(tmp_path))
    rows = {r["way"]: r for r in bench_question(mora, clip(2), repeats=1)}
    assert list(rows) == [
        "plain, frame by frame", "nothing kept", "features kept", "features kept, prefilled",
    ]  # fmt: skip
    assert rows["plain, frame by frame"]["ratio"] == 1.0
    for way in ("nothing kept", "features kept"):
        assert rows[way]["difference"] < 1e-4
    assert rows["features kept, prefilled"]["difference"] is None


def test_eight_questions_at_once_have_the_answers_of_each_alone(nano: Mora) -> None:
    alone, together = bench_together(nano, clip(4), repeats=1)
    assert [alone["way"], together["way"]] == ["one after the other", "eight at once"]
    assert together["same answers"] == 8


def test_models_that_pool_have_no_plain_form_here(nano: Mora) -> None:
    with pytest.raises(ModelError, match="pooling is 'spatiotemporal'; expected 'frame'"):
        plain_answer(nano, [], "Which object falls?")


def test_loading_is_measured_in_a_process_of_its_own(tiny_folder: Path) -> None:
    figures = bench_loading(tiny_folder, "auto")
    assert figures["held"] > 100_000
    assert figures["ratio"] == figures["peak"] / figures["held"]
    with pytest.raises(ModelError, match="config.json cannot be read"):
        bench_loading(tiny_folder / "nowhere", "auto")
