# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from groundmore_ros.training.precision import BF16_INSTRUCTIONS, cpu_autocast


@pytest.mark.parametrize("instructions", [None, *BF16_INSTRUCTIONS])
def test_bfloat16_is_used_only_where_the_cpu_has_it(
    instructions: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    able = {"avx2": True, "avx512_f": True} | ({instructions: True} if instructions else {})
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able)
    x = torch.ones(2, 2)
    with cpu_autocast():
        product = x @ x
    assert product.dtype is (torch.bfloat16 if instructions else torch.float32)
