# SPDX-License-Identifier: Apache-2.0
"""What lies beside an exported file: where it comes from, and how well it does."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import nn

from groundmore_ros.errors import ModelError
from groundmore_ros.mora.backends.graph import Part

__all__ = ["Manifest", "file_digest", "fingerprint"]

Fingerprint = dict[str, list[float]]
# Of a weight's spread. Coarse precisions move a mean by less, any training by more.
SAME = 3e-3


@dataclass(frozen=True)
class Manifest:
    """One exported file.

    Attributes:
        part: ``encoder`` or ``decoder``.
        model: the model's name.
        fingerprint: mean and spread of each weight that went in.
        sha256: of the file, external data included.
        opset: of its operators.
        precision: ``fp32`` or ``mixed``.
        inputs, outputs: shapes by name; T is free.
        parity: largest difference from torch, and mask IoU, on random inputs.
        version: of this package.
        commit: of its repository, where it was run from one.
    """

    part: str
    model: str
    fingerprint: Fingerprint
    sha256: str
    opset: int
    precision: str
    inputs: dict[str, list[int | str]]
    outputs: dict[str, list[int | str]]
    parity: dict[str, float]
    version: str
    commit: str | None

    def write(self, path: Path) -> None:
        """Save it as JSON."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def read(cls, path: Path) -> "Manifest":
        """Load it.

        Raises:
            ModelError: it is missing or damaged.
        """
        try:
            values: dict[str, Any] = json.loads(path.read_text())
            return cls(**values)
        except (OSError, ValueError, TypeError) as error:
            raise ModelError(f"{path} is no manifest of an exported file: {error}") from error

    def is_of(self, segmenter: nn.Module, part: Part) -> bool:
        """Whether the file was made from these weights, whatever precision they are in now."""
        now = fingerprint(segmenter, part)
        return now.keys() == self.fingerprint.keys() and all(
            abs(a - b) <= SAME * max(now[name][1], 1e-6)
            for name, then in self.fingerprint.items()
            for a, b in zip(now[name], then, strict=True)
        )


def fingerprint(segmenter: nn.Module, part: Part) -> Fingerprint:
    """Mean and spread of each weight of a part."""
    found: Fingerprint = {}
    for name, value in segmenter.state_dict().items():
        if name.startswith(part.weights) and value.is_floating_point():
            wide = value.float()
            spread = float(wide.std(unbiased=False)) + abs(float(wide.mean()))
            found[name] = [float(f"{float(wide.mean()):.7g}"), float(f"{spread:.7g}")]
    return found


def file_digest(path: Path) -> str:
    """SHA-256 of an ONNX file and, where it has such, its external data."""
    digest = hashlib.sha256()
    for file in (path, path.with_suffix(path.suffix + ".data")):
        if file.is_file():
            with file.open("rb") as stream:
                while block := stream.read(1 << 20):
                    digest.update(block)
    return digest.hexdigest()
