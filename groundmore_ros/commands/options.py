# SPDX-License-Identifier: Apache-2.0
"""What several subcommands read from their arguments."""

from pathlib import Path
from typing import Annotated, Any

import typer

from groundmore_ros.errors import GroundmoreError
from groundmore_ros.keywords import LOADING

__all__ = [
    "DecoderOption",
    "DeviceOption",
    "EncoderOption",
    "LoadOption",
    "how_to_load",
    "prepare_file",
    "prepare_folder",
]

DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
EncoderOption = Annotated[
    str, typer.Option(help="SAM's image encoder runs by torch, onnx[:FILE] or tensorrt[:FILE].")
]
DecoderOption = Annotated[str, typer.Option(help="SAM's mask decoder, likewise.")]
LoadOption = Annotated[
    list[str],
    typer.Option(
        help="NAME=VALUE, again and again: how the model is loaded, such as dtype=bfloat16, "
        "reasoning=prefill, quantization=4bit, provider=cpu (docs/models.md)."
    ),
]
# What has no option of its own.
SETTINGS = tuple(name for name in LOADING if name not in ("device", "encoder", "decoder"))


def how_to_load(device: str, encoder: str, decoder: str, load: list[str]) -> dict[str, Any]:
    """Keywords for ``Mora.from_pretrained``.

    Raises:
        GroundmoreError: a setting that is none.
    """
    found: dict[str, Any] = {"device": device, "encoder": encoder, "decoder": decoder}
    for setting in load:
        name, equals, value = setting.partition("=")
        if not equals or name not in SETTINGS:
            raise GroundmoreError(
                f"--load is {setting!r}; expected NAME=VALUE with one of {', '.join(SETTINGS)}"
            )
        found[name] = value.lower() not in ("false", "no", "0") if name == "strict" else value
    return found


def prepare_file(path: Path | None) -> None:
    """See to it, before the work is done, that its result can be written.

    Raises:
        GroundmoreError: there cannot be such a file.
    """
    if path is None:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    except OSError as error:
        raise GroundmoreError(f"{path} cannot be written: {error}") from error


def prepare_folder(path: Path | None) -> None:
    """See to it, before the work is done, that results can be written into a folder.

    Raises:
        GroundmoreError: it is a file, or cannot be made.
    """
    if path is None:
        return
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise GroundmoreError(f"{path} cannot be a folder: {error}") from error
