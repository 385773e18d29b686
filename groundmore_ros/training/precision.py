# SPDX-License-Identifier: Apache-2.0
"""The numbers that small models are trained in on CPUs."""

import torch

__all__ = ["BF16_INSTRUCTIONS", "cpu_autocast"]

BF16_INSTRUCTIONS = ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16")


def cpu_autocast() -> torch.autocast:
    """A context of bfloat16 where the CPU computes with it, else of float32.

    Without such instructions bfloat16 is emulated, and a step takes twice as long.
    """
    able = torch.cpu.get_capabilities()
    fast = any(able.get(name, False) for name in BF16_INSTRUCTIONS)
    return torch.autocast("cpu", torch.bfloat16, enabled=fast)
