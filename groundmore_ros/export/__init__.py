# SPDX-License-Identifier: Apache-2.0
"""Checkpoint to ONNX to TensorRT: SAM's parts, checked against torch."""
