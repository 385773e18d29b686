# SPDX-License-Identifier: Apache-2.0
"""Memory of pictures that is used again.

Fresh memory for each picture of a stream costs the system's pages, taken and given back by threads
that wait for each other.
"""

import math
import sys
from threading import Lock

import numpy as np
from numpy.typing import NDArray

__all__ = ["Buffers"]

# References to a buffer that no picture lies in: the list's, the loop's, getrefcount's argument.
UNUSED = 3


class Buffers:
    """Lends arrays, and lends their memory again as soon as nobody holds anything of them."""

    def __init__(self, most: int, most_bytes: int) -> None:
        """Keep the memory of the newest pictures, so many and so much at most; others are freed."""
        self._most, self._most_bytes = most, most_bytes
        self._buffers: list[NDArray[np.uint8]] = []
        self._lock = Lock()

    def array(self, *shape: int) -> NDArray[np.uint8]:
        """An array of a shape, contiguous, its values undefined. Threads may ask at once."""
        size = math.prod(shape)
        with self._lock:
            # Whatever is made of an array (slices, tensors) holds the buffer at its base.
            for buffer in self._buffers:
                if buffer.size == size and sys.getrefcount(buffer) == UNUSED:
                    return buffer.reshape(shape)
            buffer = np.empty(size, np.uint8)
            self._keep(buffer)
            return buffer.reshape(shape)

    def _keep(self, buffer: NDArray[np.uint8]) -> None:
        self._buffers = [*self._buffers, buffer][-self._most :]
        while sum(b.size for b in self._buffers) > self._most_bytes:
            del self._buffers[0]
