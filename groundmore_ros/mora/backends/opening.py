# SPDX-License-Identifier: Apache-2.0
"""From what a parameter says (``onnx``, ``tensorrt``, ``onnx:FILE``) to a graph that is ready."""

import os
from dataclasses import dataclass
from pathlib import Path

import torch
import yaml

from groundmore_ros.errors import ModelError
from groundmore_ros.mora.backends.advice import export_command
from groundmore_ros.mora.backends.graph import DECODER, ENCODER, Graph, Part
from groundmore_ros.mora.backends.manifest import Manifest, file_digest
from groundmore_ros.mora.backends.onnx import OnnxGraph
from groundmore_ros.mora.backends.target import load_target
from groundmore_ros.mora.backends.tensorrt import TensorRtGraph
from groundmore_ros.mora.processing import SamInput
from groundmore_ros.mora.segmentation import Segmenter

__all__ = ["BACKENDS", "Opened", "Where", "engine_folder", "open_graph", "use_backends"]

BACKENDS = ("torch", "onnx", "tensorrt")


@dataclass(frozen=True)
class Where:
    """What the back ends need to know.

    Attributes:
        model: the model's name.
        device: as torch names it.
        engines: folder of exported files; None: the model's in the user's cache.
        provider: of ONNX Runtime: ``auto``, ``cpu``, ``cuda`` or ``tensorrt``.
        target: the machine that TensorRT's engines were built for.
    """

    model: str
    device: str
    engines: Path | None = None
    provider: str = "auto"
    target: str = "discrete"


@dataclass(frozen=True)
class Opened:
    """A graph, and what it wants to see where that is not what the model's own encoder wants."""

    graph: Graph
    sees: SamInput | None = None


def engine_folder(model: str) -> Path:
    """Where a model's exported files are kept by default, in the user's cache."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "groundmore" / model.replace("/", "--")


def use_backends(segmenter: Segmenter, chosen: dict[str, str], where: Where) -> SamInput | None:
    """Let a segmenter's parts run where they shall; torch's copy of such an encoder is let go.

    Args:
        segmenter: of a loaded model.
        chosen: back ends by part, as for :func:`open_graph`.
        where: see there.

    Returns:
        what the image encoder sees, where that is not what the model's own sees.
    """
    opened = {p: open_graph(chosen[p.name], p, segmenter, where) for p in (ENCODER, DECODER)}
    segmenter.graphs = {p.name: o.graph for p, o in opened.items() if o}
    encoder = opened[ENCODER]
    if encoder is None:
        return None
    segmenter.image_encoder.to("meta")
    return encoder.sees


def open_graph(backend: str, part: Part, segmenter: Segmenter, where: Where) -> Opened | None:
    """Open what a part shall run by; None where it stays in torch.

    Args:
        backend: ``torch``, ``onnx`` or ``tensorrt``, the latter two perhaps with ``:FILE``, an
            ONNX file. A file of another maker, which may be an engine, needs a description of
            what it sees beside it (``FILE`` with the suffix ``.yaml``).
        part: the encoder or the decoder.
        segmenter: of the model, whose weights the file must have been made from.
        where: see there.

    Raises:
        ModelError: no such back end, no such file, or one of another model; says how to make it.
        MissingDependencyError: the back end's package is not installed.
    """
    kind, _, given = backend.partition(":")
    if kind not in BACKENDS or (kind == "torch" and given):
        raise ModelError(
            f"{part.name} is {backend!r}; expected one of {', '.join(BACKENDS)}, the latter two "
            "perhaps with :FILE"
        )
    if kind == "torch":
        return None
    folder = where.engines or engine_folder(where.model)
    path = Path(given).expanduser() if given else folder / f"{part.stem}.onnx"
    target = where.target if kind == "tensorrt" else None
    command = export_command(part, where.model, path, target)
    if not path.is_file():
        raise ModelError(f"no {path}; make it: {command}")
    described = path.with_suffix(".yaml")
    if given and described.is_file():
        if part.name != "encoder":
            raise ModelError(f"{described} describes an encoder; the decoder must be the model's")
        return _foreign(kind, path, described, part, segmenter, where)
    try:
        manifest = Manifest.read(path.with_suffix(".json"))
    except ModelError as error:
        foreign = given and part.name == "encoder"
        other = f"; for an encoder of another maker, describe it in {described}" if foreign else ""
        raise ModelError(f"{error}; make it: {command}{other}") from error
    command = export_command(part, where.model, path, target, manifest)
    if manifest.part != part.name:
        raise ModelError(f"{path} is the {manifest.part}; expected the {part.name}: {command}")
    if not manifest.is_of(segmenter, part):
        raise ModelError(
            f"{path} was made from other weights, those of {manifest.model}; make it: {command}"
        )
    if manifest.sha256 != file_digest(path):
        raise ModelError(f"{path} is not what its manifest tells of; make it: {command}")
    return Opened(_graph(kind, path, manifest, part, where))


def _graph(kind: str, path: Path, manifest: Manifest, part: Part, where: Where) -> Graph:
    if kind == "onnx":
        return OnnxGraph(path, part, where.device, where.provider)
    target = load_target(where.target, part)
    return TensorRtGraph.of_onnx(path, manifest, part, where.device, target)


def _foreign(
    kind: str, path: Path, described: Path, part: Part, segmenter: Segmenter, where: Where
) -> Opened:
    """Another model's image encoder, held against what the mask decoder takes."""
    try:
        sees = SamInput(**yaml.safe_load(described.read_text()))
    except (OSError, TypeError, ValueError, yaml.YAMLError) as error:
        raise ModelError(
            f"{described} is no description ({error}); expected side, unit, mean and std"
        ) from error
    graph: Graph
    if kind == "onnx":
        graph = OnnxGraph(path, part, where.device, where.provider)
    elif path.suffix == ".onnx":  # what is needed to build its engine, only its maker knows
        raise ModelError(f"{path} is no engine; expected tensorrt:ENGINE, or onnx:{path}")
    else:
        graph = TensorRtGraph.of_engine(path, part, where.device)
    picture = torch.zeros(1, 3, sees.side, sees.side, device=where.device)
    try:
        shape = tuple(graph.run(picture)[0].shape)
    except Exception as error:  # ONNX Runtime's exceptions have no common base
        raise ModelError(
            f"{path} does not take {tuple(picture.shape)} in float32, as {described} has it: "
            f"{error}"
        ) from error
    wanted = (1, segmenter.channels, segmenter.side, segmenter.side)
    if shape != wanted:
        raise ModelError(f"{path} gives {shape}; expected {wanted}, which the decoder takes")
    return Opened(graph, sees)
