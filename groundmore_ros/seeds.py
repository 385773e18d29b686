# SPDX-License-Identifier: Apache-2.0
"""Ranges of seeds as users write them."""

from groundmore_ros.errors import GroundmoreError

__all__ = ["seed_range"]


def seed_range(text: str) -> range:
    """``FIRST:END`` or one seed.

    Raises:
        GroundmoreError: anything else.
    """
    first, _, end = text.partition(":")
    try:
        start = int(first)
        seeds = range(start, int(end) if end else start + 1)
    except ValueError:
        raise GroundmoreError(f"seeds are {text!r}; expected FIRST:END, such as 0:100") from None
    if start < 0 or not seeds:
        raise GroundmoreError(f"seeds are {text!r}; expected FIRST:END with 0 <= FIRST < END")
    return seeds
