# SPDX-License-Identifier: Apache-2.0
"""Frames put together from photographs and icons, so that "object" means more than simulated ones.

Backgrounds are crops of the photographs that scikit-image ships; what moves before them are icons
of Font Awesome and smooth blobs, filled with a colour or with another photograph. None has a name.
"""

from functools import cache
from importlib import resources

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from groundmore_ros.training.data import UNNAMED, FrameSample

__all__ = ["HELD_OUT_PHOTOS", "TRAIN_PHOTOS", "collage"]

TRAIN_PHOTOS = (
    "astronaut.png",
    "brick.png",
    "chelsea.png",
    "coins.png",
    "grass.png",
    "gravel.png",
    "hubble_deep_field.jpg",
    "ihc.png",
    "motorcycle_left.png",
    "page.png",
    "retina.jpg",
)
HELD_OUT_PHOTOS = ("coffee.png", "rocket.jpg", "camera.png", "moon.png")
GLYPHS = range(0xF000, 0xF2FF)  # where Font Awesome's solid icons stand
HELD_OUT_GLYPHS = 10  # every tenth icon is left out of training
LARGEST = 0.36  # of the picture's height


def collage(
    rng: Generator, frames: int, size: tuple[int, int], *, held_out: bool = False
) -> FrameSample:
    """A few frames of unnamed things that move before a photograph.

    Args:
        rng: decides everything.
        frames: F.
        size: (H, W) in pixels.
        held_out: whether to use the photographs and icons that training never sees.
    """
    height, width = size
    photos = HELD_OUT_PHOTOS if held_out else TRAIN_PHOTOS
    background = _crop(rng, photos, 2 * height, 2 * width)
    pan, drift = rng.uniform(0, height / 2, 2), rng.normal(0, 3, 2)
    pictures, masks = [], []
    things = [_Thing(rng, photos, size, held_out) for _ in range(rng.integers(2, 7))]
    for t in range(frames):
        top, left = (int(v) for v in np.clip(pan + t * drift, 0, height - 1))
        picture = background[top : top + height, left : left + width].astype(np.float32)
        mask = np.zeros(size, np.uint8)
        for k, thing in enumerate(things):
            thing.paste(picture, mask, k + 1, t)
        pictures.append(np.clip(picture + rng.normal(0, 2, picture.shape), 0, 255))
        masks.append(mask)
    looks = torch.full((len(things), 2), UNNAMED)
    return FrameSample(
        np.stack(pictures).astype(np.uint8),
        np.stack(masks),
        looks,
        np.zeros((frames, len(things), 3), np.float32),
        np.zeros((frames, len(things)), np.float32),
    )


class _Thing:
    """A cut-out with a place, a velocity and a fill."""

    def __init__(
        self, rng: Generator, photos: tuple[str, ...], size: tuple[int, int], held_out: bool
    ) -> None:
        side = int(size[0] * rng.uniform(0.08, LARGEST))
        shape = _blob(rng, side) if rng.random() < 0.35 else _icon(rng, side, held_out)
        self.shape = shape
        self.fill = _fill(rng, photos, shape.shape)
        self.place = rng.uniform((0, 0), size)
        self.velocity = rng.normal(0, 5, 2) * (rng.random() < 0.6)

    def paste(self, picture: NDArray[np.float32], mask: NDArray[np.uint8], k: int, t: int) -> None:
        """Draw it into a picture (H, W, 3) and its number into the mask (H, W)."""
        height, width = self.shape.shape
        top, left = (
            round(float(v)) for v in self.place + t * self.velocity - np.array((height, width)) / 2
        )
        rows = slice(max(0, top), max(0, min(picture.shape[0], top + height)))
        columns = slice(max(0, left), max(0, min(picture.shape[1], left + width)))
        if rows.stop <= rows.start or columns.stop <= columns.start:
            return
        inside = (
            slice(rows.start - top, rows.stop - top),
            slice(columns.start - left, columns.stop - left),
        )
        cover = self.shape[inside][..., None]
        region = picture[rows, columns]
        region[...] = region * (1 - cover) + self.fill[inside] * cover
        mask[rows, columns][cover[..., 0] > 0.5] = k


def _fill(rng: Generator, photos: tuple[str, ...], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """A photograph's crop, or one colour that gets darker to one side."""
    if rng.random() < 0.3:
        return _crop(rng, photos, *shape).astype(np.float32)
    colour = rng.uniform(10, 250, 3)
    rows, columns = np.mgrid[: shape[0], : shape[1]] / max(shape)
    angle = rng.uniform(0, 2 * np.pi)
    shade = 1 - rng.uniform(0, 0.5) * (np.cos(angle) * rows + np.sin(angle) * columns)
    return np.asarray(shade[..., None] * colour, np.float32)


def _blob(rng: Generator, side: int) -> NDArray[np.float32]:
    """A smooth round shape (side, side) in 0..1: a circle whose radius swings."""
    angles = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    radius = 1 + sum(
        rng.normal(0, 0.18 / n) * np.cos(n * angles + rng.uniform(0, 6)) for n in (2, 3, 4)
    )
    stretch = rng.uniform(0.6, 1.0, 2)
    points = (
        2
        * side
        * (
            1
            + 0.7
            * np.stack([np.cos(angles), np.sin(angles)], 1)
            * stretch
            * np.clip(radius, 0.4, 1.35)[:, None]
        )
    )
    image = Image.new("L", (4 * side, 4 * side))
    ImageDraw.Draw(image).polygon([(float(x), float(y)) for x, y in points], fill=255)
    return _trimmed(image, side)


def _icon(rng: Generator, side: int, held_out: bool) -> NDArray[np.float32]:
    """An icon (h, w) in 0..1, turned by some angle; its holes are filled half of the time."""
    codes = [c for c in _codes() if (c % HELD_OUT_GLYPHS == 0) == held_out]
    image = Image.new("L", (4 * side, 4 * side))
    middle, text = (2 * side, 2 * side), chr(codes[int(rng.integers(len(codes)))])
    ImageDraw.Draw(image).text(middle, text, 255, _font(2 * side), anchor="mm")
    if rng.random() < 0.5:
        image = image.filter(ImageFilter.MaxFilter(5))
    return _trimmed(image.rotate(float(rng.uniform(-30, 30))), side)


def _trimmed(image: Image.Image, side: int) -> NDArray[np.float32]:
    image = image.crop(image.getbbox())
    scale = side / max(image.size)
    size = (max(2, round(image.width * scale)), max(2, round(image.height * scale)))
    return np.asarray(image.resize(size, Image.Resampling.BOX), np.float32) / np.float32(255)


def _crop(rng: Generator, photos: tuple[str, ...], height: int, width: int) -> NDArray[np.uint8]:
    """A random part of a random photograph, enlarged where it is too small."""
    photo = _photo(photos[int(rng.integers(len(photos)))])
    scale = max(height / photo.height, width / photo.width) * float(rng.uniform(1.0, 1.6))
    box_width, box_height = int(width / scale), int(height / scale)
    left = int(rng.integers(photo.width - box_width + 1))
    top = int(rng.integers(photo.height - box_height + 1))
    box = (left, top, left + box_width, top + box_height)
    part = photo.resize((width, height), Image.Resampling.BILINEAR, box=box)
    return np.asarray(part)


@cache
def _photo(name: str) -> Image.Image:
    with resources.as_file(resources.files("skimage") / "data" / name) as path:
        return Image.open(path).convert("RGB")


@cache
def _codes() -> tuple[int, ...]:
    """The code points that the font has an icon for."""
    font = _font(32)
    missing = bytes(font.getmask(chr(GLYPHS.stop)))
    return tuple(c for c in GLYPHS if bytes(font.getmask(chr(c))) not in (missing, b""))


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    folder = resources.files("fontawesomefree") / "static" / "fontawesomefree" / "webfonts"
    with resources.as_file(folder / "fa-solid-900.ttf") as path:
        return ImageFont.truetype(str(path), size)
