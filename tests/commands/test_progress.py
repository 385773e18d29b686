# SPDX-License-Identifier: Apache-2.0
import pytest

from groundmore_ros.commands.progress import StageBars


@pytest.mark.parametrize(
    ("every", "lines"),
    [
        (0.0, ["see 0/3", "see 1/3  loss 0.500", "see 2/3  loss 0.250", "see 3/3  loss 0.125"]),
        (1000.0, ["see 0/3", "see 3/3  loss 0.125"]),
    ],
)
def test_without_a_terminal_stages_are_told_in_lines(
    every: float, lines: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with StageBars(every) as bars:
        bars.stage("see", 3)
        for done in (1, 2, 3):
            bars.step(done, {"loss": 0.5**done})
    assert capsys.readouterr().err.splitlines() == lines


def test_on_a_terminal_there_is_a_bar(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    with StageBars(0.0) as bars:
        bars.stage("see", 3)
        bars.step(3, {"loss": 0.5})
    shown = capsys.readouterr().err
    assert "\u2501" in shown
    assert "loss 0.500" in shown
