# SPDX-License-Identifier: Apache-2.0
"""What a back end runs, and what every back end can do.

Shape legend: T frames, C channels, G side of SAM's grid, P prompt tokens, S side of the picture.
"""

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

__all__ = ["DECODER", "ENCODER", "Graph", "Part", "as_inputs"]


@dataclass(frozen=True)
class Part:
    """A part of SAM that can run elsewhere.

    Attributes:
        name: ``encoder`` or ``decoder``, as parameters call it.
        stem: of its files.
        inputs, outputs: names of its tensors, whose first dimension is T.
        weights: where the segmenter keeps them.
    """

    name: str
    stem: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    weights: tuple[str, ...]


# (T, 3, S, S) -> (T, C, G, G)
ENCODER = Part("encoder", "sam_encoder", ("pixels",), ("image_embeddings",), ("image_encoder.",))
# (T, C, G, G), (T, P, C) -> (T, 4 G, 4 G), (T,)
DECODER = Part(
    "decoder",
    "sam_decoder",
    ("image_embeddings", "text_embeds"),
    ("masks", "iou"),
    ("mask_decoder.", "prompt_encoder."),
)


class Graph(Protocol):
    """A part that is ready to run. Several threads may run it at once."""

    where: str  # what runs it, for people

    def run(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Outputs in the part's order, on the device of the inputs, float32."""


def as_inputs(tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Tensors as exported graphs take them: float32, in order in memory."""
    return tuple(t.float().contiguous() for t in tensors)
