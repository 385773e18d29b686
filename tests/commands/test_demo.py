# SPDX-License-Identifier: Apache-2.0
"""The demo, with one of the sample bags."""

import json
from pathlib import Path

import pytest
from PIL import Image
from rosbags.highlevel import AnyReader
from typer.testing import CliRunner

from groundmore_ros.bags.truth import read_truth
from groundmore_ros.cli import app
from groundmore_ros.commands.demo import RESULTS
from groundmore_ros.errors import GroundmoreError
from groundmore_ros.ros.demo import Recording


@pytest.fixture
def samples(sample: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "samples"
    folder.mkdir()
    (folder / sample.name).symlink_to(sample)
    return folder


def test_every_question_is_answered_and_all_is_written(
    samples: Path, sample: Path, tmp_path: Path
) -> None:
    out = tmp_path / "demo"
    done = CliRunner().invoke(app, ["demo", "--out", str(out), "--samples", str(samples)])
    assert done.exit_code == 0, done.output
    assert sorted(p.name for p in out.iterdir()) == sorted(RESULTS)
    truth = read_truth(sample)
    rows = json.loads((out / "answers.json").read_text())
    assert [r["question"] for r in rows] == [a.question for a in truth.answers]
    assert {r["status"] for r in rows} <= {"OK", "NO_OBJECT"}
    with AnyReader([out / "answers.mcap"]) as bag:
        topics = {c.topic: c.msgcount for c in bag.connections}
    assert topics["/mora/answers"] == len(rows)
    assert topics["/image/compressed"] == len(truth.pictures)
    assert topics["/mora/masks"] > 0
    with Image.open(out / "contact_sheet.png") as sheet:
        assert min(sheet.size) > 300


def test_a_missing_answer_is_an_error(
    samples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("groundmore_ros.ros.demo.record", lambda *_: Recording())
    arguments = ["demo", "--out", str(tmp_path / "demo"), "--samples", str(samples)]
    done = CliRunner().invoke(app, arguments)
    assert isinstance(done.exception, GroundmoreError)
    assert "no answer to" in str(done.exception)
