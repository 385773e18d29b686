# SPDX-License-Identifier: Apache-2.0
"""Make the ROS 2 wheels of this virtual environment a prefix that colcon can build against.

Run with the environment's own Python after every pip install; a second run changes nothing. The
wheels' CMake files name the Python and numpy headers of the machine that built them, and CMake
refuses folders that do not exist: they are pointed at this environment's headers.

With the folder of an installed package as argument, a .pth file lets this environment's Python see
that package without a setup file being sourced.
"""

import re
import sys
import sysconfig
from pathlib import Path

import numpy as np


def repair_cmake_files() -> None:
    """Point header folders in the wheels' CMake files at this environment."""
    headers = sysconfig.get_path("include")
    if not Path(headers, "Python.h").is_file():
        sys.exit(f"no Python.h in {headers}: install this Python's headers (Debian: python3-dev)")
    for path in sorted(Path(sys.prefix, "share").glob("*/cmake/*Export.cmake")):
        old = path.read_text()
        new = re.sub(r'/[^;"\s]*/include/python3\.\d+(?=[;"])', lambda _: headers, old)
        new = re.sub(
            r'/[^;"\s]*/numpy/(_core|core)/include(?=[;"])', lambda _: np.get_include(), new
        )
        if new != old:
            path.write_text(new)


def expose(prefix: Path) -> None:
    """Let this environment's Python import a package that colcon installed into a prefix."""
    base = {"base": str(prefix), "platbase": str(prefix)}
    packages = sysconfig.get_path("purelib", vars=base)
    libraries = str(prefix / "lib")
    # Read at each start before the wheels' own ros_wheels_bootstrapper.pth (in order of names),
    # which starts Python again with LD_LIBRARY_PATH unless its guard is set. Once our libraries
    # are on the path, both do nothing.
    lines = (
        packages,
        f"import os; e = os.environ; l = {libraries!r}; "
        'p = e.get("LD_LIBRARY_PATH", "").split(":"); '
        'l in p or (e.update(LD_LIBRARY_PATH=":".join([l, *filter(None, p)])), '
        'e.pop("_ROS_WHEELS_BOOTSTRAP_COMPLETE", None))',
        "",
    )
    name = f"install_{prefix.name}.pth"
    Path(sysconfig.get_path("purelib"), name).write_text("\n".join(lines))


if __name__ == "__main__":
    repair_cmake_files()
    if len(sys.argv) > 1:
        expose(Path(sys.argv[1]).resolve())
