"""Text set in rows or in columns: its ink, and where in it each character is.

Lengths are pixels unless an em is named. Glyphs are drawn at one of `shape.EMS` and the whole block
is scaled down from there: to open a font once for each size would take longer than all the rest.
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
Row = tuple[int, int]  # of a text: first character and end
LEADING = 1.2  # ems from row to row
RISE = 0.86  # ems from the top of a character's cell to its baseline


@dataclass(frozen=True)
class Glyph:
    """One character's ink, cut to where there is any, its corner relative to the pen on the
    baseline; None where it is blank. `advance` is how far the pen moves."""

    ink: Image.Image | None
    left: int
    top: int
    advance: float


@lru_cache(maxsize=4096)
def glyph(font: Font, em: int, character: str) -> Glyph:
    """A character of a font at `em` pixels; the ink is shared, so read only."""
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
    """In ems."""
    return load_font(font, EMS[0]).getlength(character) / EMS[0]


def broken(text: str, count: int) -> list[Row]:
    """The text in at most `count` rows of about the same length, broken at blanks, or anywhere
    beside a character that is not Latin. The blank at a break belongs to no row."""
    rows: list[Row] = []
    start = 0
    for number in range(count, 1, -1):
        wanted = start + (len(text) - start) / number
        breaks = [i for i in range(start + 1, len(text)) if _breaks(text, i)]
        if not breaks:
            break
        end = min(breaks, key=lambda i: abs(i - wanted))
        rows.append((start, end))
        start = end + (text[end] == " ")
    return [*rows, (start, len(text))]


def _breaks(text: str, i: int) -> bool:
    if text[i] in "，。！？、：；）)%" or text[i - 1] in " （(¥$":
        return False
    return text[i] == " " or (ord(text[i]) >= 0x2E80 and ord(text[i - 1]) >= 0x2E80)


@dataclass(frozen=True)
class Block:
    """A text as set: `ink` is its coverage, cut to where there is any; `boxes` hold each
    character's ink in it (a blank's: its advance and em), `squares` what the glyph encoder's
    bitmap of it covers."""

    ink: Image.Image
    boxes: Boxes
    squares: Boxes


@dataclass(frozen=True, kw_only=True)
class Setting:
    """How a text stands in a box: in columns from right to left if `vertical`, else in rows."""

    rows: tuple[Row, ...]
    em: float
    vertical: bool
    align: str  # of rows in the block: left, middle or right; columns begin at one height


def fit(
    text: str,
    font: Font,
    extent: tuple[float, float],
    sizes: tuple[float, float],
    *,
    vertical: bool = False,
    most: int = 1,
    align: str = "middle",
) -> Setting | None:
    """The setting in at most `most` rows with the largest em of `sizes` that has room in a box of
    `extent` (width, height); None where there is none."""
    along, across = extent[::-1] if vertical else extent
    best: Setting | None = None
    for count in range(1, most + 1):
        rows = broken(text, count)
        longest = max(_length(text[a:b], font, vertical) for a, b in rows)
        em = min(sizes[1], along / longest, across / (1 + LEADING * (len(rows) - 1)))
        if em >= sizes[0] and (best is None or em > 1.05 * best.em):
            best = Setting(rows=tuple(rows), em=em, vertical=vertical, align=align)
    return best


def _length(text: str, font: Font, vertical: bool) -> float:
    return len(text) if vertical else sum(advance(font, character) for character in text)


def block(text: str, font: Font, setting: Setting) -> Block:
    """The text, which is not blank, drawn at its size."""
    em = next((em for em in EMS if em >= setting.em), EMS[-1])
    glyphs = [glyph(font, em, character) for character in text]
    pens = _pens(glyphs, setting, em)
    boxes = np.array([_inked(glyph, pen, em) for glyph, pen in zip(glyphs, pens, strict=True)])
    inked = boxes[[glyph.ink is not None for glyph in glyphs]]
    left, top = inked[:, :2].min(0).astype(int)
    right, bottom = inked[:, 2:].max(0).astype(int)
    canvas = Image.new("L", (int(right - left), int(bottom - top)))
    for one, (x, y) in zip(glyphs, pens, strict=True):
        if one.ink is not None:
            canvas.paste(255, (x + one.left - left, y + one.top - top), one.ink)
    middles = np.array([x + one.advance / 2 for one, (x, _) in zip(glyphs, pens, strict=True)])
    side = em / BODY
    tops = np.array([y for _, y in pens]) - BASELINE * side
    squares = np.stack([middles - side / 2, tops, middles + side / 2, tops + side], 1)
    scale = setting.em / em
    size = [max(1, round(length * scale)) for length in canvas.size]
    shift, grow = np.array([left, top] * 2), np.array(size * 2) / np.array(canvas.size * 2)
    ink = canvas.resize((size[0], size[1]), Image.Resampling.BICUBIC)
    # A blank at the end of a row reaches out of the ink.
    inside = np.clip((boxes - shift) * grow, 0, [size * 2])
    return Block(ink, inside, (squares - shift) * grow)


def _pens(glyphs: Sequence[Glyph], setting: Setting, em: int) -> list[tuple[int, int]]:
    """Where the pen stands at each character. One that belongs to no row ends the row before."""
    lengths = [sum(glyph.advance for glyph in glyphs[a:b]) for a, b in setting.rows]
    pens: list[tuple[int, int]] = []
    for number, (first, end) in enumerate(setting.rows):
        last = setting.rows[number + 1][0] if number + 1 < len(setting.rows) else end
        if setting.vertical:
            middle = -number * LEADING * em
            for i, one in enumerate(glyphs[first:last]):
                pens.append((round(middle - one.advance / 2), round((i + RISE) * em)))
            continue
        spare = max(lengths) - lengths[number]
        x = {"left": 0.0, "middle": spare / 2, "right": spare}[setting.align]
        for one in glyphs[first:last]:
            pens.append((round(x), round(number * LEADING * em)))
            x += one.advance
    return pens


def _inked(glyph: Glyph, pen: tuple[int, int], em: int) -> tuple[float, float, float, float]:
    x, y = pen
    if glyph.ink is None:
        return x, y - RISE * em, x + glyph.advance, y + (1 - RISE) * em
    left, top = x + glyph.left, y + glyph.top
    return left, top, left + glyph.ink.width, top + glyph.ink.height
