#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""SAM's encoder: checkpoint to ONNX to TensorRT engine; ``--help`` tells how."""

from groundmore_ros.commands.export import encoder_main

if __name__ == "__main__":
    encoder_main()
