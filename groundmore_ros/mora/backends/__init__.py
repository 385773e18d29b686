# SPDX-License-Identifier: Apache-2.0
"""Where SAM's parts run: torch, ONNX Runtime or TensorRT. ``opening`` is the way in."""
