# SPDX-License-Identifier: Apache-2.0
"""The report's files, and its page in a real browser."""

import csv
import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from groundmore_ros.datasets.base import Question, Video
from groundmore_ros.evaluation.predictions import Prediction, PredictionFolder
from groundmore_ros.evaluation.report import published_results, write_report
from groundmore_ros.evaluation.scores import Figures, Score
from groundmore_ros.evaluation.summary import interval, summarise
from groundmore_ros.run_lengths import RunLengths

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
NASTY = 'What </script><img src=x onerror=alert(1)> "falls" & why?'


class Made(Video):
    """A video of grey frames with one square."""

    def __init__(self, video_id: str) -> None:
        self.id = video_id
        self.names = [f"{t:05d}" for t in range(6)]
        self.stamps = np.arange(6) / 2
        self.questions = [
            Question(str(n), NASTY, "Causal", "the ball", range(6), (0.5, 1.5), True, (1,))
            for n in range(4)
        ]

    def pictures(self, indices):  # type: ignore[no-untyped-def]
        return [np.full((30, 40, 3), 60 + 20 * i, np.uint8) for i in indices]

    def truth(self, question, index):  # type: ignore[no-untyped-def]
        mask = np.zeros((30, 40), bool)
        mask[5:15, 5 * index : 5 * index + 10] = True
        return mask


class Grey:
    """Two hundred and fifty of them."""

    name = "GroundMoRe (grey)"
    frames: int | None = None

    def __init__(self) -> None:
        self.ids: Sequence[str] = [f"v{k:03d}" for k in range(250)]

    def video(self, video_id: str) -> Made:
        return Made(video_id)


def _scores() -> list[Score]:
    rng = np.random.default_rng(0)
    rows = []
    for video in Grey().ids:
        for n in range(4):
            j = float(rng.random())
            rows.append(
                Score(
                    video=video,
                    question=str(n),
                    type=("Causal", "Sequential", "Counterfactual", "Descriptive")[n],
                    text=NASTY,
                    truth="the ball",
                    tags=(),
                    status="OK" if j > 0.1 else "FAILED",
                    answer="The ball.",
                    score=j,
                    error="",
                    latencies={"encode": 0.1, "reason": 0.02},
                    refused=False,
                    has_target=True,
                    frames=6,
                    start=0.0,
                    seconds=2.5,
                    span=(0.5, 1.5),
                    spans=[(0.5, 1.0)],
                    figures=Figures(j, j, j, j, j, j, j, j, float(j > 0.5)),
                    baselines={"all empty": Figures(0.5, 0.5, 0, 0, 0, 0, 0, 0, 0)},
                )
            )
    return rows


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of 1,000 questions."""
    out = tmp_path_factory.mktemp("report")
    folder = PredictionFolder(out / "predictions")
    mask = np.zeros((30, 40), bool)
    mask[5:15, 5:15] = True
    for video in Grey().ids[:30]:
        masks = {f"{t:05d}": RunLengths.of(mask) for t in range(6)}
        folder.write(Prediction(video, "0", "OK", "The ball.", 0.7, [(0.5, 1.0, 0.9)], masks))
    scores = _scores()
    summary = {"dataset": Grey.name, "model": "grey", "frames": "all", "missing videos": {}}
    return write_report(out, Grey(), folder.folder, scores, summary | summarise(scores))


def test_files_beside_the_page(page: Path) -> None:
    report = json.loads((page.parent / "report.json").read_text())
    assert report["questions"] == 1000
    with (page.parent / "scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 1000
    assert rows[0]["text"] == NASTY
    assert float(rows[0]["J&F"]) == pytest.approx(_scores()[0].figures.J, abs=1e-6)
    assert len(list((page.parent / "overlays").glob("*.mp4"))) == 40


def test_every_question_may_have_its_overlay(tmp_path: Path) -> None:
    scores = _scores()[:60]
    summary = {"dataset": "grey", "model": "grey", "frames": "all"} | summarise(scores)
    write_report(tmp_path, Grey(), None, scores, summary, all_overlays=True)
    assert len(list((tmp_path / "overlays").glob("*.mp4"))) == 60


def test_the_page_is_small_and_asks_nobody(page: Path) -> None:
    text = page.read_text()
    assert len(text.encode()) < 15e6
    links = set(re.findall(r"https?://[\w./-]+", text))
    assert links <= {"http://www.w3.org/2000/svg"}


@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
def test_the_page_works_in_a_browser(page: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [
            str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={tmp_path}",
            "--virtual-time-budget=5000", "--dump-dom", f"file://{page}",
        ],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    dom = done.stdout
    assert 'data-ready="yes"' in dom  # the script ran to its end
    drawn = re.sub(r"<script.*?</script>", "", dom, flags=re.DOTALL)
    assert drawn.count('<article class="film">') == 40
    assert drawn.count('src="data:image/jpeg') == 40
    assert drawn.count("<circle") == 1000
    assert 'href="overlays/' in drawn
    assert "1000 of 1000 questions" in drawn
    assert "MoRA-FT (fine-tuned)" in drawn
    assert "&lt;/script&gt;&lt;img src=x" in drawn  # shown, not run
    assert "<img src=x" not in drawn


def test_published_results_add_up() -> None:
    results = published_results()["results"]
    assert len(results) >= 20
    for row in results:
        assert row["source"]
        if "J" in row:
            # The papers round; one of their means is off by 0.025.
            assert row["JF"] == pytest.approx((row["J"] + row["F"]) / 2, abs=0.06)


def test_calibration_worked_out_by_hand() -> None:
    scores = _scores()[:4]
    told = ((0.75, 1.0, True), (0.75, 0.0, True), (0.2, 0.0, True), (0.9, 1.0, False))
    for score, (sure, right, has_target) in zip(scores, told, strict=True):
        score.score, score.figures.right, score.has_target = sure, right, has_target
        score.status = "OK"
    # 0.75 told, half right; 0.2 told, none; 0.9 told where nothing is right: wrong.
    error = (2 * 0.25 + 0.2 + 0.9) / 4
    assert summarise(scores)["calibration"]["expected error"] == pytest.approx(error)


def test_intervals_are_of_videos_not_of_questions() -> None:
    # Two videos that disagree, with many questions each: the interval spans both.
    values = [("a", 1.0)] * 50 + [("b", 0.0)] * 50
    assert interval(values) == [0.5, 0.0, 1.0]
    alone = interval([("a", 0.25), ("b", 0.25), ("c", None)])
    assert alone == [0.25, 0.25, 0.25]
    assert interval([("a", None)]) is None
