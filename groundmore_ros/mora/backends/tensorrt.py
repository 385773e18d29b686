# SPDX-License-Identifier: Apache-2.0
"""TensorRT engines: built once for a GPU and a version, kept by a key, run on torch's memory.

Written against the documented Python API of 10.x and 11.x: networks are strongly typed, so that the
precision is that of the ONNX file. https://docs.nvidia.com/deeplearning/tensorrt/
"""

import hashlib
import json
import logging
import re
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from groundmore_ros.errors import MissingDependencyError, ModelError
from groundmore_ros.mora.backends.advice import export_command
from groundmore_ros.mora.backends.graph import Part, as_inputs
from groundmore_ros.mora.backends.manifest import Manifest, file_digest

__all__ = ["Profile", "TensorRtGraph", "build_engine", "engine_path"]

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Profile:
    """What an engine is built for.

    Attributes:
        name: of the target.
        told: how it is asked for: its name, or its file.
        frames: least, usual and most frames at once.
        workspace_bytes: scratch memory that layers may use.
        optimization_level: 0 to 5, how long the builder looks for fast kernels.
    """

    name: str
    told: str
    frames: tuple[int, int, int]
    workspace_bytes: int = 2 << 30
    optimization_level: int = 3


def engine_path(onnx: Path, precision: str, profile: Profile) -> Path:
    """Where the engine of an ONNX file lies: all that it depends on is in its name."""
    trt = _tensorrt()
    key = [
        file_digest(onnx),
        trt.__version__,
        torch.cuda.get_device_name(),
        list(torch.cuda.get_device_capability()),
        precision,
        [profile.frames, profile.workspace_bytes, profile.optimization_level],
    ]
    digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:16]
    return onnx.with_name(f"{onnx.stem}-{profile.name}-{digest}.engine")


def build_engine(onnx: Path, manifest: Manifest, profile: Profile) -> Path:
    """Build the engine of an ONNX file, which takes minutes; nothing half-built is ever found.

    Raises:
        ModelError: TensorRT cannot read the file or build from it.
        MissingDependencyError: TensorRT is not installed.
    """
    trt = _tensorrt()
    target = engine_path(onnx, manifest.precision, profile)
    _LOG.warning("building %s for %s: this takes minutes", target.name, profile.name)
    logger = trt.Logger(trt.Logger.WARNING)
    builder = trt.Builder(logger)
    typed = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network = builder.create_network(typed)
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(onnx)):
        reasons = "; ".join(parser.get_error(i).desc() for i in range(parser.num_errors))
        raise ModelError(f"TensorRT cannot read {onnx}: {reasons}")
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, profile.workspace_bytes)
    config.builder_optimization_level = profile.optimization_level
    config.add_optimization_profile(_shapes(builder, manifest, profile))
    gpu = re.sub(r"\W+", "-", torch.cuda.get_device_name())
    kept = onnx.with_name(f"timing-{trt.__version__}-{gpu}.cache")
    timings = _timings(config, kept)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise ModelError(f"TensorRT cannot build {onnx}; its log says why")
    _write(kept, bytes(timings.serialize()))
    _write(target, bytes(plan))
    return target


def _timings(config: Any, kept: Path) -> Any:
    """What earlier builds on this GPU have measured; nothing, where the file is damaged."""
    if kept.is_file():
        timings = config.create_timing_cache(kept.read_bytes())
        if timings is not None and config.set_timing_cache(timings, ignore_mismatch=False):
            return timings
        _LOG.warning("%s cannot be used, and is made anew", kept)
    timings = config.create_timing_cache(b"")
    config.set_timing_cache(timings, ignore_mismatch=False)
    return timings


def _shapes(builder: Any, manifest: Manifest, profile: Profile) -> Any:
    shapes = builder.create_optimization_profile()
    for name, shape in manifest.inputs.items():
        fixed = tuple(int(d) for d in shape[1:])
        shapes.set_shape(name, *((frames, *fixed) for frames in profile.frames))
    return shapes


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_name(path.name + ".part")
    temporary.write_bytes(content)
    temporary.rename(path)


class TensorRtGraph:
    """A part in an engine."""

    def __init__(self, engine: Any, part: Part, device: torch.device, most: int, told: str) -> None:
        """Make an engine ready to run.

        Args:
            engine: TensorRT's.
            part: what it is, with the names of its tensors.
            device: the GPU.
            most: frames at once.
            told: where the engine comes from, for people.

        Raises:
            ModelError: there is no memory for it.
        """
        with torch.cuda.device(device):
            self._context = engine.create_execution_context()
        if self._context is None:
            raise ModelError(
                f"TensorRT cannot run {part.stem}'s engine, most likely for want of memory; "
                f"expected room for {most} frames at once"
            )
        self._engine, self._part, self._device, self._most = engine, part, device, most
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._lock = threading.Lock()  # a context runs one thing at a time
        self.where = f"tensorrt {_tensorrt().__version__} ({told})"

    @classmethod
    def of_onnx(
        cls, onnx: Path, manifest: Manifest, part: Part, device: str, profile: Profile
    ) -> "TensorRtGraph":
        """Load the engine that was built from one of our ONNX files.

        Raises:
            ModelError: it is not built, or the device is no GPU.
            MissingDependencyError: TensorRT is not installed.
        """
        place = _gpu(device)
        with torch.cuda.device(place):
            path = engine_path(onnx, manifest.precision, profile)
            if not path.is_file():
                command = export_command(part, manifest.model, onnx, profile.told, build_only=True)
                raise ModelError(f"no engine {path}; build it: {command}")
            engine = _read(path)
            if engine is None:  # of another version or GPU in spite of its key, or damaged
                engine = _read(build_engine(onnx, manifest, profile))
        if engine is None:
            raise ModelError(f"{path} cannot be loaded, nor what was built in its place")
        return cls(engine, part, place, profile.frames[2], profile.name)

    @classmethod
    def of_engine(cls, path: Path, part: Part, device: str) -> "TensorRtGraph":
        """Load an engine of another maker, whose tensors may have any names.

        Raises:
            ModelError: it was not built for this GPU and version, has other tensors, or the device
                is no GPU.
            MissingDependencyError: TensorRT is not installed.
        """
        place, trt = _gpu(device), _tensorrt()
        with torch.cuda.device(place):
            engine = _read(path)
        if engine is None:
            raise ModelError(
                f"TensorRT {trt.__version__} cannot load {path}, as its log says; expected an "
                "engine that was built with this version, on this kind of GPU, and room for it"
            )
        names = [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)]
        given = [n for n in names if engine.get_tensor_mode(n) == trt.TensorIOMode.INPUT]
        found = [n for n in names if n not in given]
        if (len(given), len(found)) != (len(part.inputs), len(part.outputs)):
            raise ModelError(
                f"{path} has inputs {given} and outputs {found}; expected {len(part.inputs)} and "
                f"{len(part.outputs)} as of a {part.name}"
            )
        coarse = [n for n in names if engine.get_tensor_dtype(n) != trt.float32]
        if coarse:
            raise ModelError(f"{path}: {', '.join(coarse)} not in float32; expected all to be")
        most = int(engine.get_tensor_profile_shape(given[0], 0)[2][0])
        named = replace(part, inputs=tuple(given), outputs=tuple(found))
        return cls(engine, named, place, most, path.name)

    def run(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Outputs on the GPU; more frames than the engine takes go in several runs."""
        given = [t.to(self._device) for t in as_inputs(inputs)]
        pieces = [torch.split(t, self._most) for t in given]
        done = [self._once(*piece) for piece in zip(*pieces, strict=True)]
        return tuple(torch.cat(outputs) for outputs in zip(*done, strict=True))

    def _once(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        with self._lock, torch.cuda.device(self._device):
            for name, tensor in zip(self._part.inputs, inputs, strict=True):
                if not self._context.set_input_shape(name, tuple(tensor.shape)):
                    raise ModelError(f"TensorRT's {self._part.name} takes no {tuple(tensor.shape)}")
                self._context.set_tensor_address(name, tensor.data_ptr())
            outputs = []
            for name in self._part.outputs:
                shape = tuple(self._context.get_tensor_shape(name))
                outputs.append(torch.empty(shape, dtype=torch.float32, device=self._device))
                self._context.set_tensor_address(name, outputs[-1].data_ptr())
            # After the outputs are there: what held their memory before has to be done with it.
            self._stream.wait_stream(torch.cuda.current_stream(self._device))
            if not self._context.execute_async_v3(self._stream.cuda_stream):
                raise ModelError(f"TensorRT's {self._part.name} failed; its log says why")
            self._stream.synchronize()
        return tuple(outputs)


def _gpu(device: str) -> torch.device:
    _tensorrt()  # says what is missing, first of all
    place = torch.device(device)
    if place.type != "cuda":
        raise ModelError(f"TensorRT needs a GPU; the device is {device}")
    return place


def _read(path: Path) -> Any:
    """The engine in a file, or None where this TensorRT and GPU cannot use it."""
    trt = _tensorrt()
    runtime = trt.Runtime(trt.Logger(trt.Logger.WARNING))
    return runtime.deserialize_cuda_engine(path.read_bytes())


def _tensorrt() -> Any:
    try:
        import tensorrt
    except ImportError as error:
        raise MissingDependencyError(
            "tensorrt is missing: JetPack has it; elsewhere pip install tensorrt"
        ) from error
    return tensorrt
