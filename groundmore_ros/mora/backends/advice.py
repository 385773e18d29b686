# SPDX-License-Identifier: Apache-2.0
"""The commands that errors tell of: how the file that is missing is made."""

from pathlib import Path
from shlex import quote

from groundmore_ros.mora.backends.graph import Part
from groundmore_ros.mora.backends.manifest import Manifest

__all__ = ["export_command"]


def export_command(
    part: Part,
    model: str,
    path: Path,
    target: str | None,
    manifest: Manifest | None = None,
    *,
    build_only: bool = False,
) -> str:
    """How a part is exported anew.

    Args:
        part: the encoder or the decoder.
        model: its name.
        path: the ONNX file that was looked for.
        target: of the engine; None where ONNX Runtime runs the file.
        manifest: of what lies there, where it is to be made as it was.
        build_only: the ONNX file is there, and only its engine is missing: no checkpoint is needed.
    """
    to = "onnx" if target is None else f"tensorrt --target {quote(target)}"
    command = f"groundmore export {part.name} --model {quote(model)} --to {to}"
    command += f" --out {quote(str(path.parent))}"
    if manifest is not None:
        command += f" --precision {manifest.precision} --opset {manifest.opset}"
    if build_only:
        command += " --build-only"
    if path.name != f"{part.stem}.onnx":
        took = f"after {path.name} is renamed to" if build_only else "which writes"
        command += f" ({took} {part.stem}.onnx)"
    return command
