# SPDX-License-Identifier: Apache-2.0
"""One part of a model's SAM, from its checkpoint to a checked file with its manifest."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from groundmore_ros import __version__
from groundmore_ros.errors import MissingDependencyError, ModelError
from groundmore_ros.export.graphs import graph_of, in_mixed_precision
from groundmore_ros.export.onnx_file import read_shapes, write_onnx
from groundmore_ros.export.parity import check, compare, example
from groundmore_ros.mora.assistant import Mora
from groundmore_ros.mora.backends.graph import Part
from groundmore_ros.mora.backends.manifest import Manifest, file_digest, fingerprint
from groundmore_ros.mora.backends.onnx import OnnxGraph
from groundmore_ros.mora.backends.target import load_target
from groundmore_ros.mora.backends.tensorrt import TensorRtGraph, build_engine

__all__ = ["PRECISIONS", "ExportOptions", "build", "check_engine", "export_onnx"]

PRECISIONS = ("fp32", "mixed")


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """How a part is exported.

    Attributes:
        opset: 18 or 17.
        precision: ``fp32``, or ``mixed``: float16 but for normalisations; inputs and outputs are
            float32 in both.
    """

    opset: int = 18
    precision: str = "fp32"

    def __post_init__(self) -> None:
        """Reject what there is not.

        Raises:
            ModelError: no such precision.
        """
        if self.precision not in PRECISIONS:
            raise ModelError(
                f"precision is {self.precision!r}; expected one of {', '.join(PRECISIONS)}"
            )


def export_onnx(name: str, part: Part, out: Path, options: ExportOptions) -> Manifest:
    """Write a part as ONNX, with its manifest, once it does as torch does.

    Args:
        name: of the model, as for ``Mora.from_pretrained``.
        part: the encoder or the decoder.
        out: folder, which is made.
        options: see there.

    Raises:
        ModelError: the model is not there, or the file does not reach the bar; it is removed.
        MissingDependencyError: the exporter's packages are not installed.
    """
    model = Mora.from_pretrained(name, dtype="float32").model
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{part.stem}.onnx"
    path.with_suffix(".json").unlink(missing_ok=True)  # never beside a file that is not its own
    graph = graph_of(model.segmenter, part)
    if options.precision == "mixed":
        graph = in_mixed_precision(graph)
    try:
        write_onnx(graph, example(model, part.name, 2), part, path, options.opset)
        figures = compare(
            model, part.name, graph_of(model.segmenter, part), OnnxGraph(path, part, "cpu")
        )
        check(figures, options.precision)
    except MissingDependencyError:
        raise
    except Exception as error:  # what exporters, checkers and runtimes raise has no common base
        for file in (path, path.with_suffix(".onnx.data")):
            file.unlink(missing_ok=True)
        raise ModelError(f"{path} is not as the model: {error}") from error
    inputs, outputs = read_shapes(path)
    manifest = Manifest(
        part=part.name,
        model=name,
        fingerprint=fingerprint(model.segmenter, part),
        sha256=file_digest(path),
        opset=options.opset,
        precision=options.precision,
        inputs=inputs,
        outputs=outputs,
        parity=figures,
        version=__version__,
        commit=_commit(),
    )
    manifest.write(path.with_suffix(".json"))
    return manifest


def build(part: Part, folder: Path, target: str) -> Path:
    """Build the TensorRT engine of an exported file; no model is loaded.

    Raises:
        ModelError: there is no such file, or TensorRT fails.
        MissingDependencyError: TensorRT is not installed.
    """
    path = folder / f"{part.stem}.onnx"
    manifest = Manifest.read(path.with_suffix(".json"))
    return build_engine(path, manifest, load_target(target, part))


def check_engine(name: str, part: Part, folder: Path, target: str) -> dict[str, float]:
    """Hold a built engine against torch, on the GPU.

    Raises:
        ModelError: it does not reach the bar.
    """
    model = Mora.from_pretrained(name, dtype="float32", device="cuda").model
    path = folder / f"{part.stem}.onnx"
    manifest = Manifest.read(path.with_suffix(".json"))
    graph = TensorRtGraph.of_onnx(path, manifest, part, "cuda", load_target(target, part))
    # TensorRT computes float32 in TF32 by default, as torch does not: masks are what counts.
    figures = compare(model, part.name, graph_of(model.segmenter, part), graph)
    check(figures, "mixed")
    return figures


def _commit() -> str | None:
    here = Path(__file__).parent
    try:
        done = subprocess.run(
            ["git", "-C", str(here), "rev-parse", "HEAD"],
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:  # no git, as in slim containers
        return None
    return done.stdout.strip() or None
