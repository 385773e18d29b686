# SPDX-License-Identifier: Apache-2.0
"""Graphs to ONNX files, with the first dimension free and every operator accounted for."""

import logging
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from groundmore_ros.errors import MissingDependencyError, ModelError
from groundmore_ros.mora.backends.graph import Part

__all__ = ["FRAMES", "OPSETS", "import_onnx", "read_shapes", "write_onnx"]

FRAMES = "T"
OPSETS = (17, 18)
# Below protobuf's limit of 2 GB, with room for the graph itself.
LARGEST = 1_900_000_000
# What TensorRT rejects or runs badly in a graph that is to hold none of them.
REFUSED = frozenset({"Resize", "OneHot", "Tile", "NonZero", "If", "Loop"})
# Changed in opset 18, by inputs and attributes that a graph may do without.
CHANGED_IN_18: dict[str, tuple[int, frozenset[str]]] = {
    "Pad": (3, frozenset()),
    "Resize": (4, frozenset({"antialias", "axes", "keep_aspect_ratio_policy"})),
    "Split": (2, frozenset({"num_outputs"})),
}


def write_onnx(
    graph: nn.Module, inputs: tuple[Tensor, ...], part: Part, path: Path, opset: int
) -> None:
    """Export a graph, check it and infer its shapes.

    Args:
        graph: takes and gives tensors whose first dimension is T.
        inputs: examples of at least two frames.
        part: names the inputs and outputs.
        path: the file; weights of more than 2 GB go beside it, into ``FILE.data``.
        opset: 18, or 17 for older TensorRT.

    Raises:
        ModelError: the graph holds what it must not, or does not go into that opset.
        MissingDependencyError: the exporter's packages are not installed.
    """
    onnx = import_onnx()
    if opset not in OPSETS:
        raise ModelError(f"opset is {opset}; expected one of {OPSETS}")
    frames = torch.export.Dim(FRAMES, min=1, max=4096)
    # The exporter tells of its own deprecations, and of torchvision, which nothing here needs.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program: Any = torch.onnx.export(
            graph,
            inputs,
            dynamo=True,
            opset_version=18,
            input_names=list(part.inputs),
            output_names=list(part.outputs),
            dynamic_shapes=tuple({0: frames} for _ in inputs),
            verbose=False,
        )
    model = program.model_proto
    if opset == 17:
        _lower(model)
    if part.name == "decoder":
        found = sorted({n.op_type for n in model.graph.node} & REFUSED)
        if found:
            raise ModelError(
                f"the decoder's graph holds {', '.join(found)}; expected none of these"
            )
    large = sum(p.nbytes for p in graph.state_dict().values()) > LARGEST
    data = path.with_suffix(path.suffix + ".data")
    for file in (path, data):
        file.unlink(missing_ok=True)
    onnx.save_model(model, str(path), save_as_external_data=large, location=data.name)
    onnx.checker.check_model(str(path), full_check=True)  # infers shapes, and holds them together
    inputs_of, outputs_of = read_shapes(path)
    free = {d for shape in (*inputs_of.values(), *outputs_of.values()) for d in shape}
    if free - {FRAMES} - {d for d in free if isinstance(d, int)}:
        raise ModelError(f"{path} has free dimensions {free}; expected {FRAMES} alone")


def read_shapes(path: Path) -> tuple[dict[str, list[int | str]], dict[str, list[int | str]]]:
    """Shapes of a file's inputs and outputs by name; a free dimension is its name."""
    graph = import_onnx().load(str(path), load_external_data=False).graph

    def shapes(values: Any) -> dict[str, list[int | str]]:
        return {
            v.name: [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim]
            for v in values
        }

    return shapes(graph.input), shapes(graph.output)


def _lower(model: Any) -> None:
    """Call opset 18 by the name of 17, where no operator is used in a way that came with 18."""
    schemas = import_onnx().defs
    for node in model.graph.node:
        if schemas.get_schema(node.op_type, 18).since_version < 18:
            continue
        inputs, attributes = CHANGED_IN_18.get(node.op_type, (-1, frozenset()))
        given = sum(bool(name) for name in node.input)
        if given > inputs or attributes & {a.name for a in node.attribute}:
            raise ModelError(f"{node.op_type} is used as in opset 18; expected opset: 18")
    for opset in model.opset_import:
        if opset.domain == "":
            opset.version = 17
    model.ir_version = 8


def import_onnx() -> Any:
    """The package, or what to install.

    Raises:
        MissingDependencyError: it is missing.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401 - the exporter needs it
    except ImportError as error:
        raise MissingDependencyError(
            f"{error.name} is missing: pip install 'groundmore[export]'"
        ) from error
    return onnx
