# SPDX-License-Identifier: Apache-2.0
"""A small convolutional stand-in for SAM's image encoder.

Same signature: a square picture in, an embedding at the stride that SAM's mask decoder expects out.
Shape legend: B frames, C channels of the embedding, S side of the picture, G = S / patch_size.
"""

from collections.abc import Sequence

from torch import Tensor, nn

__all__ = ["ConvImageEncoder"]


def _convolution(before: int, after: int, *, stride: int = 1, size: int = 3) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, size, stride, size // 2, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
    )


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = _convolution(width, width)
        self.second = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        )
        self.activation = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.activation(x + self.second(self.first(x)))
        return out


class ConvImageEncoder(nn.Module):
    """Residual stages at strides 4, 8 and 16, merged top down into stride 4.

    Feature pyramid after Lin et al., "Feature Pyramid Networks for Object Detection" (2017).
    """

    def __init__(self, widths: Sequence[int], channels: int) -> None:
        """Widths are those at strides 2, 4, 8 and 16; channels is C."""
        super().__init__()
        half, quarter, eighth, sixteenth = widths
        self.stem = nn.Sequential(
            _convolution(3, half, stride=2), _convolution(half, quarter, stride=2)
        )
        self.stage4 = nn.Sequential(_Residual(quarter), _Residual(quarter))
        self.stage8 = nn.Sequential(
            _convolution(quarter, eighth, stride=2), _Residual(eighth), _Residual(eighth)
        )
        self.stage16 = nn.Sequential(
            _convolution(eighth, sixteenth, stride=2), _Residual(sixteenth), _Residual(sixteenth)
        )
        self.lateral4 = nn.Conv2d(quarter, channels, 1)
        self.lateral8 = nn.Conv2d(eighth, channels, 1)
        self.lateral16 = nn.Conv2d(sixteenth, channels, 1)
        self.merge = nn.Sequential(
            _convolution(channels, channels), nn.Conv2d(channels, channels, 3, padding=1)
        )
        self.up = nn.Upsample(scale_factor=2, mode="nearest")

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, 3, S, S), normalised, to the embedding (B, C, G, G)."""
        x4 = self.stage4(self.stem(pixels))  # (B, quarter, S/4, S/4)
        x8 = self.stage8(x4)
        x16 = self.stage16(x8)
        coarse = self.up(self.lateral16(x16)) + self.lateral8(x8)
        embedding: Tensor = self.merge(self.up(coarse) + self.lateral4(x4))
        return embedding
