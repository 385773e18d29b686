# SPDX-License-Identifier: Apache-2.0
import pytest
import torch
from transformers import SamVisionConfig
from transformers.models.sam.modeling_sam import SamVisionSdpaAttention

from groundmore_ros.mora import sam_attention
from groundmore_ros.mora.sam_attention import RowwiseAttention


@pytest.mark.parametrize("rows", [1, 3, 8])
def test_rows_at_a_time_give_what_all_at_once_gives(
    rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    config = SamVisionConfig(
        hidden_size=16, num_attention_heads=2, image_size=128, patch_size=16, window_size=0
    )
    ours = RowwiseAttention(config, 0)
    for weight in ours.parameters():
        torch.nn.init.normal_(weight)
    theirs = SamVisionSdpaAttention(config, 0)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 8, 8, 16)
    row = 2 * 2 * 8 * 64 * 4  # bytes of bias for one row of queries
    monkeypatch.setattr(sam_attention, "BIAS_BYTES", rows * row)
    calls = []
    attend = torch.nn.functional.scaled_dot_product_attention
    monkeypatch.setattr(
        torch.nn.functional,
        "scaled_dot_product_attention",
        lambda *a, **k: calls.append(1) or attend(*a, **k),  # type: ignore[func-returns-value]
    )
    with torch.inference_mode():
        mixed, _ = ours(x)
        assert len(calls) == -(-8 // rows)
        torch.testing.assert_close(mixed, theirs(x)[0])
