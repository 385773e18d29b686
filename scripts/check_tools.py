# SPDX-License-Identifier: Apache-2.0
"""Say what is missing on this machine before anything is installed."""

import shutil
import sys
import sysconfig
from pathlib import Path

TESTED = (3, 11)


def missing() -> list[str]:
    """One line for each thing that the set-up needs and this machine lacks."""
    lines = []
    if sys.version_info[:2] != TESTED:
        lines.append(
            f"Python {TESTED[0]}.{TESTED[1]}: this is {sys.version.split()[0]} "
            "(name another with make PYTHON=python3.11)"
        )
    if not any(map(shutil.which, ("c++", "g++", "clang++"))):
        lines.append("a C++ compiler (Debian, Ubuntu: apt install g++)")
    if not any(map(shutil.which, ("cc", "gcc", "clang"))):
        lines.append("a C compiler (Debian, Ubuntu: apt install gcc)")
    if not Path(sysconfig.get_path("include"), "Python.h").is_file():
        lines.append("Python's headers (Debian, Ubuntu: apt install python3-dev)")
    try:
        import ensurepip  # noqa: F401
    except ImportError:
        lines.append("Python's venv module (Debian, Ubuntu: apt install python3-venv)")
    return lines


if __name__ == "__main__":
    if absent := missing():
        sys.exit("missing on this machine:\n" + "\n".join(f"  - {line}" for line in absent))
