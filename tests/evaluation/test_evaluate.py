# SPDX-License-Identifier: Apache-2.0
"""Whole runs: figures worked out by hand, interruptions, other tools' predictions."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import layouts
import numpy as np
import pytest
from layouts import square
from PIL import Image
from typer.testing import CliRunner

from groundmore_ros.cli import app
from groundmore_ros.datasets import open_dataset
from groundmore_ros.errors import GroundmoreError
from groundmore_ros.evaluation.answering import Asking, scored_frames
from groundmore_ros.evaluation.evaluate import evaluate, predict
from groundmore_ros.evaluation.predictions import Prediction, PredictionFolder
from groundmore_ros.evaluation.scores import Score
from groundmore_ros.evaluation.work import Job, Processes

TWENTY_OF_24 = [0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 12, 13, 14, 15, 16, 18, 19, 20, 21, 23]


def _write(folder: Path, names: list[str], masks: dict[int, np.ndarray]) -> None:
    folder.mkdir(parents=True)
    for k, name in enumerate(names):
        mask = masks.get(k, np.zeros((40, 50), bool))
        Image.fromarray(mask.astype(np.uint8) * 255).save(folder / f"{name}.png")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return layouts.groundmore(tmp_path / "groundmore")


@pytest.fixture
def other_tool(tmp_path: Path) -> Path:
    """Masks alone, as any tool writes them.

    Causal, object 1 in frames 0 to 11: found from frame 6 on, and in frame 12 too. Sequential,
    objects 1 and 2 in frames 12 to 23 (there until 17): only object 1, until 16.
    """
    folder = tmp_path / "predictions"
    names = [f"frame_{k:06d}" for k in range(24)]
    found = dict.fromkeys([6, 7, 8, 9, 10, 12], square(1))
    _write(folder / "one_1103_1107" / "0", names, found)
    _write(folder / "one_1103_1107" / "1", names, dict.fromkeys(range(12, 17), square(1)))
    _write(folder / "bare_0200_0202" / "0", names[:12], {})
    return folder


def test_the_protocol_takes_twenty_frames_as_published(root: Path) -> None:
    video = open_dataset(str(root)).video("one_1103_1107")
    causal = video.questions[0]
    assert scored_frames(video, causal, Asking(20)) == TWENTY_OF_24
    assert scored_frames(video, causal, Asking(None)) == list(range(24))
    short = replace(causal, frames=range(3))
    assert scored_frames(video, short, Asking(5)) == [0, 0, 1, 1, 2]
    # Cut to its span, the question's clip is the event's twelve frames.
    assert scored_frames(video, causal, Asking(4, given_span=True)) == [0, 3, 7, 11]


def test_figures_worked_out_by_hand(root: Path, other_tool: Path) -> None:
    job = Job(open_dataset(str(root)), None, asking=Asking(20), predictions=other_tool)
    run = evaluate(job, Processes(1))
    scores = {(s.video[:3], s.question): s for s in run.scores}
    causal = scores["one", "0"].figures
    # In the span: 5 frames missed, 5 found. Outside: 9 rightly empty, a false alarm.
    assert causal.J == causal.F == pytest.approx(14 / 20)
    assert causal.J_inside == causal.F_inside == pytest.approx(5 / 10)
    assert causal.J_union == pytest.approx(5 / 11)
    assert causal.temporal_iou == pytest.approx((11 - 6) / (12 - 0))
    assert causal.J_ungated == pytest.approx(6 / 15)  # of the sampled frames with the player
    assert causal.right == 0
    sequential = scores["one", "1"].figures
    # One of two equal squares: J 1/2; precision 1 and recall 1/2 make F 2/3.
    assert sequential.J == pytest.approx((10 + 5 * 0.5 + 5) / 20)
    assert sequential.F == pytest.approx((10 + 5 * 2 / 3 + 5) / 20)
    assert sequential.J_inside == sequential.J_union == pytest.approx(0.5)
    assert sequential.F_inside == pytest.approx(2 / 3)
    assert sequential.temporal_iou == pytest.approx((16 - 12) / (23 - 12))
    # Nothing predicted, no such video: 0. No masks to compare with: not scored.
    assert (scores["two", "0"].status, scores["two", "0"].figures.J) == ("MISSING", 0)
    assert scores["gon", "0"].figures.J == scores["gon", "0"].figures.temporal_iou == 0
    assert scores["bar", "0"].figures.J is None
    assert list(run.missing) == ["gone_0100_0102"]


def test_baselines_worked_out_by_hand(root: Path, other_tool: Path) -> None:
    job = Job(open_dataset(str(root)), None, asking=Asking(20), predictions=other_tool)
    scores = {(s.video[:3], s.question): s for s in evaluate(job, Processes(1)).scores}
    causal = scores["one", "0"].baselines
    assert causal["all empty"].J == pytest.approx(10 / 20)
    assert causal["all empty"].J_union == causal["all empty"].temporal_iou == 0
    # Object 1 in its whole 15 frames, 10 of them in the span; object 2 never right.
    random = causal["random object"]
    assert random.J_inside == pytest.approx((1 + 0) / 2)
    assert random.J_union == pytest.approx((10 / 15 + 0) / 2)
    assert random.right == pytest.approx(1 / 2)
    assert random.temporal_iou == pytest.approx(11 / 23)
    # Neither moves: the first is taken.
    assert causal["largest motion"].J_inside == 1


def test_the_command_scores_other_tools_predictions(root: Path, other_tool: Path) -> None:
    arguments = ["evaluate", str(root), "--predictions", str(other_tool), "--workers", "1"]
    done = CliRunner().invoke(app, [*arguments, "--json"])
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert report["frames"] == 20
    assert report["questions"] == 5
    assert report["failed"] == 2
    assert report["without truth"] == 1
    whole = report["groups"]["all"]
    assert whole["J"][0] == pytest.approx((14 / 20 + 17.5 / 20 + 0 + 0) / 4)
    assert whole["F"][0] == pytest.approx((14 / 20 + (15 + 10 / 3) / 20 + 0 + 0) / 4)
    assert report["groups"]["Causal"]["J&F"][0] == pytest.approx(14 / 20)
    assert report["groups"]["Descriptive"]["J"][0] == 0
    assert report["missing videos"].keys() == {"gone_0100_0102"}
    skipped = CliRunner().invoke(app, [*arguments, "--json", "--skip-missing"])
    report = json.loads(skipped.stdout)
    assert report["groups"]["all"]["J"][0] == pytest.approx((14 / 20 + 17.5 / 20 + 0) / 3)
    every = CliRunner().invoke(app, [*arguments, "--json", "--frames", "all"])
    report = json.loads(every.stdout)
    # All 24 frames: 7 in the span missed, 5 found; 11 rightly empty, a false alarm.
    assert report["groups"]["Causal"]["J"][0] == pytest.approx(16 / 24)


def test_a_mask_of_another_size_is_a_failed_answer(root: Path, other_tool: Path) -> None:
    Image.new("L", (20, 20)).save(other_tool / "one_1103_1107" / "0" / "frame_000008.png")
    job = Job(open_dataset(str(root)), None, asking=Asking(20), predictions=other_tool)
    scores = {(s.video[:3], s.question): s for s in evaluate(job, Processes(1)).scores}
    assert scores["one", "0"].status == "FAILED"
    assert "(20, 20)" in scores["one", "0"].error
    assert scores["one", "0"].figures.J == 0


def _job(root: Path, model: Path, out: Path, **asking: object) -> Job:
    return Job(
        open_dataset(str(root)),
        str(model),
        loading={"device": "cpu"},
        asking=Asking(20, **asking),  # type: ignore[arg-type]
        predictions=out,
    )


def test_predicting_and_scoring_apart_or_together_give_the_same(
    root: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    together = evaluate(_job(root, tiny_folder, tmp_path / "a"), Processes(1), tmp_path / "run")
    job = _job(root, tiny_folder, tmp_path / "b")
    missing = predict(job, Processes(2))
    assert list(missing) == ["gone_0100_0102"]
    apart = evaluate(replace(job, model=None), Processes(1))
    assert len(apart.scores) == 5
    for one, other in zip(together.scores, apart.scores, strict=True):
        assert asdict(one.figures) == pytest.approx(asdict(other.figures))
        assert one.baselines.keys() == other.baselines.keys()
    assert {s.video for s in apart.scores if s.status == "MISSING"} == {"gone_0100_0102"}


def test_a_run_goes_on_where_it_stopped(root: Path, tiny_folder: Path, tmp_path: Path) -> None:
    job = _job(root, tiny_folder, tmp_path / "p")
    whole = evaluate(job, Processes(1), tmp_path / "run")
    answers = (tmp_path / "p" / "answers.jsonl").read_text().splitlines(keepends=True)
    # As if it had been killed in the middle of the third line.
    (tmp_path / "p" / "answers.jsonl").write_text("".join(answers[:2]) + answers[2][:20])
    scores = (tmp_path / "run" / "scores.jsonl").read_text()
    (tmp_path / "run" / "scores.jsonl").write_text(scores[: len(scores) // 3])
    again = evaluate(job, Processes(1), tmp_path / "run")
    assert [asdict(s.figures) for s in again.scores] == [asdict(s.figures) for s in whole.scores]
    rows = [json.loads(a) for a in (tmp_path / "p" / "answers.jsonl").read_text().splitlines()]
    assert sorted((r["video"], r["question"]) for r in rows) == sorted(
        (s.video, s.question) for s in whole.scores if s.video != "gone_0100_0102"
    )
    assert list(again.missing) == ["gone_0100_0102"]
    # A third time there is nothing left to do; what is missing is still told.
    done = evaluate(job, Processes(1), tmp_path / "run", skip_missing=True)
    assert len(done.scores) == 4


def test_changed_predictions_are_scored_anew(root: Path, other_tool: Path, tmp_path: Path) -> None:
    job = Job(open_dataset(str(root)), None, asking=Asking(20), predictions=other_tool)
    evaluate(job, Processes(1), tmp_path / "run")
    mask = other_tool / "one_1103_1107" / "0" / "frame_000012.png"
    Image.new("L", (50, 40)).save(mask)  # in place, as a tool that is run again does
    run = evaluate(job, Processes(1), tmp_path / "run")
    scores = {(s.video[:3], s.question): s for s in run.scores}
    assert scores["one", "0"].figures.J == pytest.approx(15 / 20)


def test_predictions_of_another_model_are_not_mixed_in(
    root: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    predict(_job(root, tiny_folder, tmp_path / "p"), Processes(1))
    with pytest.raises(GroundmoreError, match="gate True, not gate False"):
        predict(_job(root, tiny_folder, tmp_path / "p", gate=False), Processes(1))


def test_killed_while_predicting_nothing_is_lost_or_done_twice(
    root: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    file = root / "test_v2.json"
    content = json.loads(file.read_text())
    asked = content["videos"]["two_0010_0012"]["questions"]
    asked |= {str(k): asked["0"] for k in range(1, 200)}
    content["videos"] |= {f"two{k}_0010_0012": {"questions": dict(asked)} for k in range(3)}
    for k in range(3):
        (root / "annotations" / f"two{k}_0010_0012").symlink_to(root / "annotations/two_0010_0012")
    file.write_text(json.dumps(content))
    out = tmp_path / "p"
    command = [sys.executable, "-m", "groundmore_ros", "predict", str(root)]
    command += ["--model", str(tiny_folder), "--out", str(out), "--workers", "1"]
    first = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (out / "answers.jsonl").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    before = [(v, q) for v, marks in PredictionFolder(out).answered().items() for q in marks]
    assert 0 < len(before) < 803, "it was not interrupted in the middle"
    subprocess.run(command, check=True, capture_output=True)
    lines = [json.loads(line) for line in (out / "answers.jsonl").read_text().splitlines()]
    keys = [(line["video"], line["question"]) for line in lines]
    # All but the missing video's question.
    assert len(keys) == len(set(keys)) == 803
    assert set(before) <= set(keys)


def test_diagnostics_change_what_is_asked(root: Path, tiny_folder: Path, tmp_path: Path) -> None:
    """Cut to the span only its frames are answered; without the gate all masks stay."""
    folder = tmp_path / "cut"
    predict(_job(root, tiny_folder, folder, given_span=True), Processes(1))
    files = sorted(p.stem for p in (folder / "one_1103_1107" / "0").glob("*.png"))
    assert files == [f"frame_{k:06d}" for k in range(12)]
    predict(_job(root, tiny_folder, tmp_path / "open", gate=False), Processes(1))
    for place in (tmp_path / "open").rglob("*"):
        assert place.name != "ungated"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["nowhere"], "does not exist"),
        (["ROOT", "--predictions", "nowhere"], "no folder of predictions"),
        (["ROOT", "--predictions", "ROOT", "--model", "x"], "give no --model"),
        (["ROOT", "--frames", "some"], "--frames is 'some'"),
        (["ROOT", "--model", "none"], "no model 'none'"),
        (["ROOT", "--executor", "moon"], "--executor is 'moon'"),
        (["ROOT", "--node"], "--node plays bags"),
    ],
)
def test_a_users_mistakes(root: Path, arguments: list[str], complaint: str) -> None:
    done = CliRunner().invoke(app, ["evaluate", *(a.replace("ROOT", str(root)) for a in arguments)])
    assert isinstance(done.exception, GroundmoreError)
    assert complaint in str(done.exception)


def _scores(job: Job, **options: object) -> dict[tuple[str, str], Score]:
    run = evaluate(job, Processes(1), **options)  # type: ignore[arg-type]
    return {(s.video[:3], s.question): s for s in run.scores}


def _tool_job(root: Path, folder: Path) -> Job:
    return Job(open_dataset(str(root)), None, asking=Asking(20), predictions=folder)


def test_masks_of_a_missing_video_count_as_failed(root: Path, other_tool: Path) -> None:
    _write(other_tool / "gone_0100_0102" / "0", ["frame_000000"], {})
    score = _scores(_tool_job(root, other_tool))["gon", "0"]
    assert (score.status, score.failed, score.figures.J) == ("MISSING", True, 0)
    assert score.baselines["all empty"].J == score.baselines["whole clip"].J == 0


def test_where_the_model_failed_the_whole_clip_baseline_did(root: Path, other_tool: Path) -> None:
    score = _scores(_tool_job(root, other_tool))["two", "0"]
    assert score.baselines["whole clip"].J == 0
    assert score.baselines["random object"].J_inside == 1  # needs no model


def test_a_full_mask_against_nothing_is_as_published(root: Path, other_tool: Path) -> None:
    """Neither a full nor an empty mask has a boundary: F is 1 there, by the published code."""
    full = np.ones((40, 50), np.uint8) * 255
    Image.fromarray(full).save(other_tool / "one_1103_1107" / "0" / "frame_000012.png")
    figures = _scores(_tool_job(root, other_tool))["one", "0"].figures
    assert figures.J == pytest.approx(14 / 20)
    assert figures.F == pytest.approx(15 / 20)


def test_a_damaged_mask_is_a_failed_answer(root: Path, other_tool: Path) -> None:
    (other_tool / "one_1103_1107" / "0" / "frame_000008.png").write_bytes(b"no picture")
    scores = _scores(_tool_job(root, other_tool))
    assert scores["one", "0"].status == "FAILED"
    assert "frame_000008.png" in scores["one", "0"].error
    assert scores["one", "1"].status == "OK"


def test_another_tools_answers_are_read_and_left_alone(root: Path, other_tool: Path) -> None:
    lines = (
        '{"video": "one_1103_1107", "question": "0", "text": "x", "spans": [[0, 1.8]]}\n'
        '{"video": "one_1103_1107", "question": 1, "spans": [[2, 3, 0.1], [9, 9, 0.2], '
        "[8, 8, 0.3], [7, 7, 0.4]]}"
    )
    file = other_tool / "answers.jsonl"
    file.write_text(lines)
    scores = _scores(_tool_job(root, other_tool))
    assert file.read_text() == lines
    assert scores["one", "0"].figures.temporal_iou == pytest.approx(1.8 / (11 / 6))
    # Only the three surest spans count: a list of guesses does not help.
    assert scores["one", "1"].figures.temporal_iou == 0


@pytest.mark.parametrize(
    "line",
    [
        '{"video": "a"}',
        '{"video": "a", "question": "0", "spans": 5}',
        '{"video": "a", "question": "0", "spans": [[0]]}',
        '{"video": "a", "question": "0", "score": "high"}',
        '{"video": "a", "question": "0", "score": NaN}',
        '{"video": "a", "question": "0", "latencies": [1]}',
        "no json",
    ],
)
def test_answers_that_are_not_as_expected_are_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "answers.jsonl").write_text(line + '\n{"video": "b", "question": "0"}\n')
    with pytest.raises(GroundmoreError, match=r"answers.jsonl, line 1 is not as expected"):
        PredictionFolder(tmp_path)


def test_a_last_line_without_an_end_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "answers.jsonl"
    file.write_text('{"video": "a", "question": "0"}\n{"video": "a", "question": "1"}')
    PredictionFolder(tmp_path).write(Prediction("a", "2", "NO_OBJECT"))
    assert PredictionFolder(tmp_path).answered()["a"].keys() == {"0", "1", "2"}


QUESTIONS = """
bag: {bag}
questions:
  - {{question: "What moves first?", at: 3.0, type: Sequential, span: [0.4, {end}]}}
  - {{question: "What falls?", at: 3.0}}
"""


def test_changed_questions_are_asked_or_scored_anew(
    tiny_folder: Path, sample: Path, tmp_path: Path
) -> None:
    file = tmp_path / "mine.yaml"

    def run() -> list[Score]:
        job = Job(
            open_dataset(str(file)),
            str(tiny_folder),
            loading={"device": "cpu"},
            predictions=tmp_path / "p",
        )
        return evaluate(job, Processes(1), tmp_path / "run").scores

    file.write_text(QUESTIONS.format(bag=sample, end=1.0))
    assert [s.text for s in run()] == ["What moves first?", "What falls?"]
    file.write_text(QUESTIONS.format(bag=sample, end=2.0).replace("falls", "rolls"))
    again = run()
    assert [s.text for s in again] == ["What moves first?", "What rolls?"]
    assert again[0].span == pytest.approx((1000.4, 1002.0))
    added = '  - {question: "What else?", at: 2.0}\n'
    file.write_text(file.read_text() + added)
    assert len(run()) == 3
    file.write_text(QUESTIONS.format(bag=sample, end=2.0).rsplit("\n", 2)[0])
    assert len(run()) == 1


def test_a_video_with_many_questions_is_done_in_parts(
    root: Path, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("groundmore_ros.evaluation.work.AT_ONCE", 1)
    job = _job(root, tiny_folder, tmp_path / "p")
    done: list[int] = []
    run = evaluate(job, Processes(1), on_done=done.append)
    assert sum(done) == 4
    assert len(done) == 5  # the video with two questions came in two parts
    assert len(run.scores) == 5
    monkeypatch.undo()
    whole = evaluate(_job(root, tiny_folder, tmp_path / "q"), Processes(1))
    assert [asdict(s.figures) for s in run.scores] == [asdict(s.figures) for s in whole.scores]
