# SPDX-License-Identifier: Apache-2.0
import pytest
import torch
from transformers import SamMaskDecoderConfig

from groundmore_ros.mora.mask_decoder import MaskDecoder


@pytest.fixture
def decoder() -> MaskDecoder:
    torch.manual_seed(0)
    config = SamMaskDecoderConfig(
        hidden_size=32, mlp_dim=48, num_attention_heads=2, iou_head_hidden_dim=16
    )
    config._attn_implementation = "eager"
    decoder = MaskDecoder(config)
    for weight in decoder.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    return decoder.eval()


@pytest.mark.parametrize("prompts", [1, 4])
def test_the_mask_is_that_of_transformers_decoder(decoder: MaskDecoder, prompts: int) -> None:
    embeddings, tokens = torch.randn(3, 32, 6, 6), torch.randn(3, prompts, 32)
    grid = torch.randn(32, 6, 6)
    with torch.inference_mode():
        mask, quality = decoder.draw(embeddings, tokens, decoder.places(grid))
        theirs, their_quality = decoder(
            embeddings,
            grid[None].expand(3, -1, -1, -1),
            tokens[:, None],
            torch.zeros(1, 32, 1, 1),
            multimask_output=False,
        )
    assert mask.shape == (3, 24, 24)
    assert mask.std() > 0.1
    torch.testing.assert_close(mask, theirs[:, 0, 0], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(quality, their_quality[:, 0, 0], atol=1e-5, rtol=1e-4)
