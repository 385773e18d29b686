# SPDX-License-Identifier: Apache-2.0
"""The commands that errors tell of: how the file that is missing is made."""

from pathlib import Path

from groundmore_ros.mora.backends.graph import Part
from groundmore_ros.mora.backends.manifest import Manifest

__all__ = ["build_command", "export_command"]


def export_command(
    part: Part, model: str, path: Path, target: str | None, manifest: Manifest | None = None
) -> str:
    """How a part is exported anew.

    Args:
        part: the encoder or the decoder.
        model: its name.
        path: the ONNX file that was looked for.
        target: of the engine; None where ONNX Runtime runs the file.
        manifest: of what lies there, where it is to be made as it was.
    """
    to = "onnx" if target is None else f"tensorrt --target {target}"
    command = f"groundmore export {part.name} --model {model} --to {to} --out {path.parent}"
    if manifest is not None:
        command += f" --precision {manifest.precision} --opset {manifest.opset}"
    if path.name != f"{part.stem}.onnx":
        command += f" (which writes {part.stem}.onnx)"
    return command


def build_command(part: Part, model: str, path: Path, target: str) -> str:
    """How the engine of an ONNX file is built that is there; no checkpoint is needed."""
    return f"{export_command(part, model, path, target)} --build-only"
