# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime: the provider is chosen on purpose, and the one that runs is checked."""

import logging
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from groundmore_ros.errors import MissingDependencyError, ModelError
from groundmore_ros.mora.backends.graph import Part, as_inputs

__all__ = ["PROVIDERS", "OnnxGraph"]

_LOG = logging.getLogger(__name__)

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}


class OnnxGraph:
    """A part in an ONNX file."""

    def __init__(self, path: Path, part: Part, device: str, provider: str = "auto") -> None:
        """Open a file.

        Args:
            path: the ``.onnx`` file.
            part: what it is to be.
            device: ``cpu``, ``cuda`` or ``cuda:N``.
            provider: ``cpu``, ``cuda``, ``tensorrt``, or ``auto``: that of the device.

        Raises:
            ModelError: it cannot be opened, is another part, or runs elsewhere than asked.
            MissingDependencyError: ONNX Runtime is not installed.
        """
        self._ort = _runtime()
        kind = device.split(":", maxsplit=1)[0] if provider == "auto" else provider
        if kind not in PROVIDERS:
            raise ModelError(f"provider is {provider!r}; expected auto, {', '.join(PROVIDERS)}")
        self._device = torch.device(device)
        self._on_host = kind == "cpu"
        if not self._on_host and self._device.type != "cuda":
            raise ModelError(f"provider is {provider!r}, on the device {device}; expected cuda")
        wanted = PROVIDERS[kind]
        available = self._ort.get_available_providers()
        if wanted not in available:
            raise ModelError(
                f"{path.name} shall run by {wanted}, but this ONNX Runtime has "
                f"{', '.join(available)}; expected onnxruntime-gpu, or provider: cpu"
            )
        options = self._ort.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3
        try:
            self._session = self._ort.InferenceSession(
                str(path), options, providers=_providers(kind, self._device, path.parent)
            )
        except Exception as error:  # its exceptions have no common base
            raise ModelError(f"{path} cannot be opened: {error}") from error
        running = self._session.get_providers()[0]
        if running != wanted:
            raise ModelError(f"{path.name} shall run by {wanted}, but runs by {running}")
        self._inputs = [i.name for i in self._session.get_inputs()]
        self._outputs = [o.name for o in self._session.get_outputs()]
        if len(self._inputs) != len(part.inputs) or len(self._outputs) < len(part.outputs):
            raise ModelError(
                f"{path} has inputs {self._inputs} and outputs {self._outputs}; expected "
                f"{len(part.inputs)} and {len(part.outputs)} as of a {part.name}"
            )
        self._outputs = self._outputs[: len(part.outputs)]
        free = [s for o in self._session.get_outputs() for s in o.shape[1:] if isinstance(s, str)]
        if free and not self._on_host:
            raise ModelError(f"{path} has free dimensions {free} beside the first; expected none")
        self.where = f"onnx ({running})"

    @property
    def shapes(self) -> dict[str, list[int | str]]:
        """Shapes of the inputs as the file gives them."""
        return {i.name: i.shape for i in self._session.get_inputs()}

    def run(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Outputs on the device of the inputs; with a GPU's provider nothing passes the host."""
        given = as_inputs(inputs)
        if self._on_host:
            feed = {n: t.cpu().numpy() for n, t in zip(self._inputs, given, strict=True)}
            found = self._session.run(self._outputs, feed)
            return tuple(torch.from_numpy(value).to(inputs[0].device) for value in found)
        binding = self._session.io_binding()
        index = self._device.index or 0
        for name, tensor in zip(self._inputs, given, strict=True):
            binding.bind_input(
                name, "cuda", index, "float32", tuple(tensor.shape), tensor.data_ptr()
            )
        outputs = []
        for out in self._session.get_outputs()[: len(self._outputs)]:
            shape = (len(given[0]), *out.shape[1:])
            outputs.append(torch.empty(shape, dtype=torch.float32, device=self._device))
            binding.bind_output(out.name, "cuda", index, "float32", shape, outputs[-1].data_ptr())
        torch.cuda.current_stream(self._device).synchronize()
        self._session.run_with_iobinding(binding)
        return tuple(outputs)


def _providers(kind: str, device: torch.device, cache: Path) -> list[tuple[str, dict[str, Any]]]:
    """The provider that shall run, with settings; on a GPU all that follows it is on the GPU too.

    https://onnxruntime.ai/docs/execution-providers/TensorRT-ExecutionProvider.html
    """
    if kind == "cpu":
        return [(PROVIDERS["cpu"], {})]
    cuda = (PROVIDERS["cuda"], {"device_id": str(device.index or 0)})
    if kind == "cuda":
        return [cuda]
    _LOG.warning("ONNX Runtime builds TensorRT engines at the first frames: this takes minutes")
    # Engines are kept beside the file, or every start would build them anew.
    kept = {
        "trt_engine_cache_enable": "True",
        "trt_engine_cache_path": str(cache),
        "trt_timing_cache_enable": "True",
        "trt_timing_cache_path": str(cache),
    }
    return [(PROVIDERS["tensorrt"], cuda[1] | kept), cuda]


def _runtime() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingDependencyError(
            "onnxruntime is missing: pip install 'groundmore[export]' (onnxruntime-gpu on a GPU)"
        ) from error
    return onnxruntime
