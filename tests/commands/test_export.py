# SPDX-License-Identifier: Apache-2.0
"""The export commands, as people and deployment scripts call them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


def _run(*arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, cwd=ROOT, check=False
    )
    return done.returncode, done.stdout + done.stderr


def test_the_script_writes_one_file_and_its_manifest(tiny_folder: Path, tmp_path: Path) -> None:
    code, said = _run(
        "export/sam_decoder.py", "--model", str(tiny_folder), "--to", "onnx", "--out", str(tmp_path)
    )
    assert code == 0, said
    assert "mask IoU at least" in said
    assert sorted(f.name for f in tmp_path.iterdir()) == ["sam_decoder.json", "sam_decoder.onnx"]
    assert json.loads((tmp_path / "sam_decoder.json").read_text())["model"] == str(tiny_folder)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["decoder", "--to", "openvino"], "--to is 'openvino'; expected onnx or tensorrt"),
        (["encoder", "--model", "nowhere"], "no model 'nowhere' on this machine"),
        (["decoder", "--precision", "int8"], "precision is 'int8'"),
        (["decoder", "--to", "tensorrt", "--build-only"], "is no manifest"),
        (["decoder", "--build-only"], "--build-only with --to onnx; expected --to tensorrt"),
    ],
)
def test_mistakes_are_one_line(arguments: list[str], complaint: str, tmp_path: Path) -> None:
    code, said = _run("-m", "groundmore_ros", "export", *arguments, "--out", str(tmp_path))
    assert code == 1
    assert said.startswith("groundmore: ")
    assert complaint in said
    assert "Traceback" not in said
