# SPDX-License-Identifier: Apache-2.0
"""Pictures for people: captioned frames with time lines, and contact sheets of answers."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from groundmore_ros.bags.writer import overlay

__all__ = ["AnsweredFilm", "contact_sheet", "film"]

RGB = NDArray[np.uint8]
Spans = Sequence[tuple[float, float]]
WIDTH = 480  # pixels, of a captioned frame
MARGIN = 8
PAPER, INK, FAINT = (24, 26, 32), (236, 238, 242), (120, 126, 138)
ANSWER, TRUTH = (255, 64, 160), (90, 200, 120)


@dataclass(frozen=True)
class AnsweredFilm:
    """A clip with what was answered about it, and what is true, where that is known.

    Attributes:
        pictures: T of (H, W, 3) RGB.
        stamps: s.
        masks: bool (T, H, W), before the gate.
        active: bool (T,), the gate.
        question, answer: texts.
        spans: answered, s.
        truth: text of the right answer, or "".
        true_spans: s.
    """

    pictures: Sequence[RGB]
    stamps: Sequence[float]
    masks: NDArray[np.bool_]
    active: NDArray[np.bool_]
    question: str
    answer: str
    spans: Spans
    truth: str = ""
    true_spans: Spans = ()


def film(answered: AnsweredFilm) -> list[RGB]:
    """Every frame with its mask, the question and answer above it and the time line below."""
    return [_captioned(answered, t) for t in range(len(answered.pictures))]


def contact_sheet(films: Sequence[AnsweredFilm], columns: int = 6) -> RGB:
    """One row an answer: its words, evenly chosen frames with masks, and the time line."""
    rows = [_row(answered, columns) for answered in films]
    width = max(row.shape[1] for row in rows)
    padded = [np.pad(r, ((0, MARGIN), (0, width - r.shape[1]), (0, 0))) for r in rows]
    return np.concatenate(padded)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _heading(answered: AnsweredFilm, width: int) -> Image.Image:
    lines = [(answered.question, INK), (f"Answer: {answered.answer}", ANSWER)]
    if answered.truth:
        lines.append((f"Truth: {answered.truth}", TRUTH))
    canvas = Image.new("RGB", (width, 20 * len(lines) + MARGIN), PAPER)
    draw = ImageDraw.Draw(canvas)
    for i, (text, colour) in enumerate(lines):
        draw.text((MARGIN, 4 + 20 * i), text, fill=colour, font=_font(15))
    return canvas


def _timeline(answered: AnsweredFilm, width: int, now: float | None) -> Image.Image:
    canvas = Image.new("RGB", (width, 30), PAPER)
    draw = ImageDraw.Draw(canvas)
    first, last = answered.stamps[0], answered.stamps[-1]
    length = max(last - first, 1e-6)

    def x(stamp: float) -> float:
        return MARGIN + (stamp - first) / length * (width - 2 * MARGIN)

    draw.line((x(first), 15, x(last), 15), fill=FAINT)
    for spans, colour, y in ((answered.true_spans, TRUTH, 4), (answered.spans, ANSWER, 17)):
        for start, end in spans:
            draw.rectangle((x(start) - 2, y, x(end) + 2, y + 8), fill=colour)
    if now is not None:
        draw.line((x(now), 0, x(now), 30), fill=INK, width=2)
    return canvas


def _drawn(answered: AnsweredFilm, t: int, width: int) -> Image.Image:
    picture = Image.fromarray(
        overlay(np.asarray(answered.pictures[t]), answered.masks[t], bool(answered.active[t]))
    )
    size = (width, max(1, round(picture.height * width / picture.width)))
    return picture.resize(size, Image.Resampling.NEAREST)


def _captioned(answered: AnsweredFilm, t: int) -> RGB:
    heading = _heading(answered, WIDTH)
    frame = _drawn(answered, t, WIDTH)
    line = _timeline(answered, WIDTH, answered.stamps[t])
    return _stack([heading, frame, line])


def _row(answered: AnsweredFilm, columns: int) -> RGB:
    chosen = np.unique(np.rint(np.linspace(0, len(answered.pictures) - 1, columns)).astype(int))
    frames = [np.asarray(_drawn(answered, int(t), WIDTH // 2)) for t in chosen]
    strip = Image.fromarray(np.concatenate(frames, axis=1))
    return _stack([_heading(answered, strip.width), strip, _timeline(answered, strip.width, None)])


def _stack(parts: Sequence[Image.Image]) -> RGB:
    return np.concatenate([np.asarray(part) for part in parts])
