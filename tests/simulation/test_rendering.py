# SPDX-License-Identifier: Apache-2.0
import os
import subprocess
import sys

CODE = """
from groundmore_ros.errors import MissingDependencyError
from groundmore_ros.simulation import generate
try:
    print(generate(1).frames.std() > 5)
except MissingDependencyError as error:
    print(error)
"""


def _draw(**environment: str) -> str:
    """What a process prints that draws with nothing chosen before."""
    clean = {k: v for k, v in os.environ.items() if k not in ("MUJOCO_GL", "PYOPENGL_PLATFORM")}
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        env=clean | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_a_back_end_that_works_is_found() -> None:
    assert _draw() == "True"


def test_the_second_back_end_draws_where_the_first_does_not() -> None:
    """EGL that loads and then finds no device must not keep OSMesa from being tried."""
    assert _draw(MUJOCO_EGL_DEVICE_ID="99") == "True"


def test_where_nothing_draws_the_error_says_what_to_install() -> None:
    """A MuJoCo whose contexts all fail stands in for a machine without OpenGL."""
    broken = (
        "import sys, types\n"
        "sys.modules['mujoco.egl'] = sys.modules['mujoco.osmesa'] = types.ModuleType('none')\n"
    )
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from groundmore_ros.simulation import rendering\n"
            f"rendering._PROBE = {broken!r} + rendering._PROBE\n{CODE}",
        ],
        env={k: v for k, v in os.environ.items() if k != "MUJOCO_GL"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "apt install libosmesa6" in done.stdout
    assert "egl: ImportError" in done.stdout
    assert "osmesa: ImportError" in done.stdout
