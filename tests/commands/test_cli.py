# SPDX-License-Identifier: Apache-2.0
"""The real command, as a process."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-m", "groundmore_ros"]
SUBCOMMANDS = (
    "", "ask", "bench", "demo", "evaluate", "info", "node", "play", "simulate", "train"
)  # fmt: skip


def run(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True,
        text=True,
        check=False,
        **options,  # type: ignore[call-overload]
    )


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_help_answers_without_heavy_imports(name: str) -> None:
    code = (
        "import sys; sys.argv[1:] = {!r}\n"
        "from groundmore_ros.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {{'torch', 'transformers', 'numpy', 'rclpy', 'mujoco', 'av', 'rosbags'}}\n"
        "sys.exit(','.join(heavy & set(sys.modules)) or 0)"
    ).format([name, "--help"] if name else ["--help"])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Usage" in done.stdout


def test_help_is_fast() -> None:
    """Half a second where the parser takes 0.4 s for a command that does nothing.

    A ratio of like work: how fast an interpreter starts differs between machines.
    """
    nothing = "import typer; app = typer.Typer(); app.command()(lambda: None); app(['--help'])"

    def seconds(*command: str) -> float:
        began = time.perf_counter()
        assert subprocess.run(command, capture_output=True, check=False).returncode == 0
        return time.perf_counter() - began

    help_seconds, bare_seconds = (
        min(seconds(*command) for _ in range(5))
        for command in ((*COMMAND, "ask", "--help"), (sys.executable, "-c", nothing))
    )
    assert help_seconds < 1.25 * bare_seconds


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["ask", "nowhere.mcap", "-q", "What?"], "nowhere.mcap does not exist"),
        (["ask", "SAMPLE", "-q", " "], "the question is empty"),
        (["ask", "SAMPLE", "-q", "What?", "--topic", "/x"], "it has: /image/compressed"),
        (["ask", "SAMPLE", "-q", "What?", "--model", "none"], "no model 'none'"),
        (["ask", "SAMPLE", "-q", "What?", "--at", "-9"], "no frames in the 3 s before"),
        (["info", "none"], "no model 'none'"),
        (["simulate", "OUT", "--seeds", "x"], "seeds are 'x'; expected FIRST:END"),
        (["simulate", "OUT", "--seeds", "1:3", "--frames", "2"], "frames is 2"),
        (["evaluate", "5:3"], "expected FIRST:END"),
        (["train", "--recipe", "giant", "--out", "OUT"], "no recipe 'giant'"),
        (["demo", "--samples", "OUT"], "no bags in"),
        (["play", "OUT"], "no bag that can be read"),
    ],
)
def test_a_users_mistake_is_one_line_and_exit_code_1(
    arguments: list[str], complaint: str, sample: Path, tmp_path: Path
) -> None:
    places = {"SAMPLE": str(sample), "OUT": str(tmp_path)}
    done = run(*(places.get(a, a) for a in arguments))
    assert done.returncode == 1
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr
    last = [line for line in done.stderr.splitlines() if line.strip()][-1]
    assert last.startswith("groundmore: ")


def test_ask_from_any_folder(sample: Path, tmp_path: Path) -> None:
    question = ("-q", "Which object moves first?")
    done = run("ask", str(sample), *question, "--json", "--out", "found", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told == json.loads((tmp_path / "found" / "answers.json").read_text())
    assert len(told) == 1
    assert len(told[0]["stamps"]) == 16
    again = run("ask", str(sample), *question, "--out", "found", cwd=tmp_path)
    assert again.returncode == 1
    assert "already has" in again.stderr


def test_node_says_how_to_get_ros(tmp_path: Path) -> None:
    for package in ("rclpy", "groundmore"):
        code = (
            "import importlib.util, sys\n"
            "find = importlib.util.find_spec\n"
            f"importlib.util.find_spec = lambda n, *a: None if n == {package!r} else find(n, *a)\n"
            "sys.argv = ['groundmore', 'node']\n"
            "from groundmore_ros.cli import main; main()"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=False
        )
        assert done.returncode == 1
        assert "make setup" in done.stderr


def test_an_installed_wheel_answers_from_any_folder(sample: Path, tmp_path: Path) -> None:
    """The wheel carries the model and the messages; nothing of the checkout is used."""
    root = Path(__file__).parents[2]
    build = ["-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    environment = os.environ | {"PYTHONWARNINGS": "ignore"}
    subprocess.run(
        [sys.executable, *build, "--wheel-dir", str(tmp_path), str(root)],
        check=True,
        env=environment,
    )
    (wheel,) = tmp_path.glob("*.whl")
    place = tmp_path / "installed"
    install = ["-m", "pip", "install", "--quiet", "--no-deps", "--target", str(place)]
    subprocess.run([sys.executable, *install, str(wheel)], check=True, env=environment)
    done = run(
        "ask", str(sample), "-q", "What moves?", "--at", "3", "--json", "--out", "found",
        cwd=tmp_path, env=environment | {"PYTHONPATH": str(place)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0]["model"] == "mora-nano"
    where = "import groundmore_ros; print(groundmore_ros.__file__)"
    found = subprocess.run(
        [sys.executable, "-c", where],
        env=environment | {"PYTHONPATH": str(place)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.startswith(str(place))
