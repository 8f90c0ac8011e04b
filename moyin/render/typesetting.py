"""Set text in rows or columns: its ink, and the box of each character.

Lengths are in pixels unless stated otherwise. Glyphs are rasterised at one of `text_shape.EMS` and
the block is scaled down from there, since opening a font at every size would dominate the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from moyin.render.fonts import Font, load_font
from moyin.render.text_shape import BASELINE, BODY, EMS

Boxes = np.ndarray[Any, np.dtype[np.float64]]  # [n, 4]: left, top, right, bottom
Row = tuple[int, int]  # first character and end
LEADING = 1.2  # ems between baselines
ASCENT = 0.86  # ems from the top of a character's cell to its baseline


@dataclass(frozen=True)
class Glyph:
    """One character's cropped ink, and its top left corner relative to the pen on the baseline.

    ink: None for white space. advance: how far the pen moves.
    """

    ink: Image.Image | None
    left: int
    top: int
    advance: float


@lru_cache(maxsize=4096)
def glyph(font: Font, em: int, character: str) -> Glyph:
    """A character of a font at `em` pixels per em. The ink is shared: do not modify it."""
    opened = load_font(font, em)
    left, top, right, bottom = map(int, opened.getbbox(character, anchor="ls"))
    advance = opened.getlength(character)
    if right <= left or bottom <= top:
        return Glyph(None, 0, 0, advance)
    image = Image.new("L", (right - left + 2, bottom - top + 2))
    ImageDraw.Draw(image).text((1 - left, 1 - top), character, 255, opened, anchor="ls")
    tight = image.getbbox()
    if tight is None:
        return Glyph(None, 0, 0, advance)
    return Glyph(image.crop(tight), left - 1 + tight[0], top - 1 + tight[1], advance)


@lru_cache(maxsize=65536)
def advance(font: Font, character: str) -> float:
    """The advance of a character, in ems."""
    return load_font(font, EMS[0]).getlength(character) / EMS[0]


def break_rows(text: str, count: int) -> list[Row]:
    """Break the text into at most `count` rows of similar length, at spaces or next to characters
    that are not Latin. The space at a break belongs to no row."""
    rows: list[Row] = []
    start = 0
    for number in range(count, 1, -1):
        target = start + (len(text) - start) / number
        breaks = [i for i in range(start + 1, len(text)) if _may_break(text, i)]
        if not breaks:
            break
        end = min(breaks, key=lambda i: abs(i - target))
        rows.append((start, end))
        start = end + (text[end] == " ")
    return [*rows, (start, len(text))]


def _may_break(text: str, i: int) -> bool:
    if text[i] in "，。！？、：；）)%" or text[i - 1] in " （(¥$":
        return False
    return text[i] == " " or (ord(text[i]) >= 0x2E80 and ord(text[i - 1]) >= 0x2E80)


@dataclass(frozen=True)
class Block:
    """Typeset text.

    ink: its coverage, cropped. boxes: the ink of each character (for white space its advance and
    em). squares: what the glyph encoder's bitmap of each character covers.
    """

    ink: Image.Image
    boxes: Boxes
    squares: Boxes


@dataclass(frozen=True, kw_only=True)
class TextLayout:
    """How a text fills a box: in columns from right to left if `vertical`, else in rows."""

    rows: tuple[Row, ...]
    em: float
    vertical: bool
    align: str  # of rows: left, middle or right; columns are aligned at the top


def fit_text(
    text: str,
    font: Font,
    extent: tuple[float, float],
    sizes: tuple[float, float],
    *,
    vertical: bool = False,
    most: int = 1,
    align: str = "middle",
) -> TextLayout | None:
    """The layout with the largest em within `sizes` that fits a box of `extent` (width, height).

    most: maximum number of rows or columns. None if even the smallest em does not fit.
    """
    along, across = extent[::-1] if vertical else extent
    best: TextLayout | None = None
    for count in range(1, most + 1):
        rows = break_rows(text, count)
        longest = max(_length(text[a:b], font, vertical) for a, b in rows)
        em = min(sizes[1], along / longest, across / (1 + LEADING * (len(rows) - 1)))
        if em >= sizes[0] and (best is None or em > 1.05 * best.em):
            best = TextLayout(rows=tuple(rows), em=em, vertical=vertical, align=align)
    return best


def _length(text: str, font: Font, vertical: bool) -> float:
    return len(text) if vertical else sum(advance(font, character) for character in text)


def block(text: str, font: Font, layout: TextLayout) -> Block:
    """Draw the text, which must have ink, at the layout's em."""
    em = next((em for em in EMS if em >= layout.em), EMS[-1])
    glyphs = [glyph(font, em, character) for character in text]
    pens = _pens(glyphs, layout, em)
    boxes = np.array([_ink_box(glyph, pen, em) for glyph, pen in zip(glyphs, pens, strict=True)])
    ink_boxes = boxes[[glyph.ink is not None for glyph in glyphs]]
    left, top = ink_boxes[:, :2].min(0).astype(int)
    right, bottom = ink_boxes[:, 2:].max(0).astype(int)
    canvas = Image.new("L", (int(right - left), int(bottom - top)))
    for drawn, (x, y) in zip(glyphs, pens, strict=True):
        if drawn.ink is not None:
            canvas.paste(255, (x + drawn.left - left, y + drawn.top - top), drawn.ink)
    middles = np.array([x + g.advance / 2 for g, (x, _) in zip(glyphs, pens, strict=True)])
    side = em / BODY
    tops = np.array([y for _, y in pens]) - BASELINE * side
    squares = np.stack([middles - side / 2, tops, middles + side / 2, tops + side], 1)
    scale = layout.em / em
    size = [max(1, round(length * scale)) for length in canvas.size]
    shift, grow = np.array([left, top] * 2), np.array(size * 2) / np.array(canvas.size * 2)
    ink = canvas.resize((size[0], size[1]), Image.Resampling.BICUBIC)
    # A space at the end of a row extends beyond the ink.
    clipped = np.clip((boxes - shift) * grow, 0, [size * 2])
    return Block(ink, clipped, (squares - shift) * grow)


def _pens(glyphs: Sequence[Glyph], layout: TextLayout, em: int) -> list[tuple[int, int]]:
    """The pen's position at each character. One that belongs to no row ends the row before it."""
    lengths = [sum(glyph.advance for glyph in glyphs[a:b]) for a, b in layout.rows]
    pens: list[tuple[int, int]] = []
    for number, (first, end) in enumerate(layout.rows):
        last = layout.rows[number + 1][0] if number + 1 < len(layout.rows) else end
        if layout.vertical:
            middle = -number * LEADING * em
            for i, drawn in enumerate(glyphs[first:last]):
                pens.append((round(middle - drawn.advance / 2), round((i + ASCENT) * em)))
            continue
        spare = max(lengths) - lengths[number]
        x = {"left": 0.0, "middle": spare / 2, "right": spare}[layout.align]
        for drawn in glyphs[first:last]:
            pens.append((round(x), round(number * LEADING * em)))
            x += drawn.advance
    return pens


def _ink_box(glyph: Glyph, pen: tuple[int, int], em: int) -> tuple[float, float, float, float]:
    x, y = pen
    if glyph.ink is None:
        return x, y - ASCENT * em, x + glyph.advance, y + (1 - ASCENT) * em
    left, top = x + glyph.left, y + glyph.top
    return left, top, left + glyph.ink.width, top + glyph.ink.height
