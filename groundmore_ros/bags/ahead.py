# SPDX-License-Identifier: Apache-2.0
"""Frames decoded ahead by threads, in order: pictures unpack while the next messages are read."""

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from groundmore_ros.bags.sources import Frame
from groundmore_ros.errors import BadFrameError

__all__ = ["decoded_ahead"]

AHEAD = 2  # frames for each thread that wait, decoded or being so: what memory is bounded by


def decoded_ahead(
    frames: Iterable[Frame], threads: int | None = None
) -> Iterator[tuple[Frame, NDArray[np.uint8] | None]]:
    """Frames with their pictures (H, W, 3) RGB, in the order given; None where one is broken.

    Args:
        frames: are read at most a few ahead.
        threads: that decode; by default as many as there are cores. The decoders of pictures do
            their work outside Python's lock.
    """
    workers = threads or os.cpu_count() or 1
    waiting: deque[tuple[Frame, Future[NDArray[np.uint8] | None]]] = deque()
    with ThreadPoolExecutor(workers, "decode") as pool:
        try:
            for frame in frames:
                waiting.append((frame, pool.submit(_picture, frame)))
                if len(waiting) >= AHEAD * workers:
                    first, picture = waiting.popleft()
                    yield first, picture.result()
            while waiting:
                first, picture = waiting.popleft()
                yield first, picture.result()
        finally:
            for _, picture in waiting:
                picture.cancel()


def _picture(frame: Frame) -> NDArray[np.uint8] | None:
    try:
        return frame.decode()
    except BadFrameError:
        return None
