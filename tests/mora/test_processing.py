# SPDX-License-Identifier: Apache-2.0
import pytest
import torch
from conftest import tiny_config
from torch.nn import functional

from groundmore_ros.mora.answer import NO_MASK_LOGIT
from groundmore_ros.mora.processing import FrameProcessor


@pytest.mark.parametrize(
    ("height", "width"), [(720, 1280), (1280, 720), (48, 64), (37, 91), (5, 300), (33, 1)]
)
def test_what_is_drawn_in_a_box_is_resized_as_the_whole_would_be(height: int, width: int) -> None:
    processor = FrameProcessor(tiny_config())
    side = processor.side
    torch.manual_seed(0)
    logits = torch.full((4, side, side), NO_MASK_LOGIT)
    logits[0, 2:9, 1:17] = 5 * torch.randn(7, 16)
    logits[1, :1, :1] = 3.0
    logits[2] = 5 * torch.randn(side, side)
    inner = processor.scaled(height, width)
    whole = functional.interpolate(
        logits[:, None, : inner[0], : inner[1]], (height, width), mode="bilinear"
    )[:, 0]
    frames = processor.to_frame(logits, height, width)
    assert torch.allclose(frames, whole, atol=1e-3)
    assert (frames[3] == NO_MASK_LOGIT).all()


def test_smaller_logits_are_enlarged_to_the_square_first() -> None:
    processor = FrameProcessor(tiny_config())
    side = processor.side
    logits = torch.randn(2, side // 4, side // 4)
    square = functional.interpolate(logits[:, None], (side, side), mode="bilinear")[:, 0]
    assert torch.allclose(processor.to_frame(logits, side, side), square, atol=1e-5)
