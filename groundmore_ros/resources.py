# SPDX-License-Identifier: Apache-2.0
"""Files that come with the package: models, samples, launch files, message definitions."""

import os
from collections.abc import Iterator
from pathlib import Path

__all__ = ["find_resource"]


def find_resource(relative: str) -> Path | None:
    """Where a shipped file or folder lies, or None.

    Looks inside the installed Python package, then beside it (a source checkout), then in the ROS
    package's share folder.

    Args:
        relative: such as ``models/mora-nano``.
    """
    return next((p for p in _candidates(relative) if p.exists()), None)


def _candidates(relative: str) -> Iterator[Path]:
    package = Path(__file__).resolve().parent
    yield package / relative
    if (package.parent / "package.xml").is_file():
        yield package.parent / relative
    # <prefix>/lib/python3.x/site-packages/groundmore_ros, as colcon installs it
    yield from (p / "share" / "groundmore" / relative for p in list(package.parents)[3:5])
    for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep):
        if prefix:
            yield Path(prefix) / "share" / "groundmore" / relative
