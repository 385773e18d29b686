# SPDX-License-Identifier: Apache-2.0
import os
import subprocess
import sys

CODE = """
import mujoco.egl, mujoco.osmesa
def broken(*sizes): raise RuntimeError("no such library")
mujoco.egl.GLContext = mujoco.osmesa.GLContext = broken
from groundmore_ros.errors import MissingDependencyError
from groundmore_ros.simulation import generate
try:
    generate(0)
except MissingDependencyError as error:
    print(error)
"""


def test_where_nothing_draws_the_error_says_what_to_install() -> None:
    environment = {k: v for k, v in os.environ.items() if k != "MUJOCO_GL"}
    code = f"import os; os.environ['PYOPENGL_PLATFORM'] = 'osmesa'\n{CODE}"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert "install libosmesa6" in done.stdout
    assert "egl: no such library; osmesa: no such library" in done.stdout
