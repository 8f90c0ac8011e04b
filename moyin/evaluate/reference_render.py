"""Perfect renders: the strings of a prompt set on a plain page, as well as they can be read."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from moyin.ocr.result import Pixels
from moyin.render import fonts

FONT = "NotoSansSC-Bold"
SIDE, MARGIN = 1024, 48  # pixels of a page
LARGEST, SMALLEST = 72, 12  # pixels an em
LEADING, GAP = 1.5, 0.5  # line height, and what more stands between strings, in ems


def page(texts: Sequence[str]) -> Pixels:
    """The strings one under another, wrapped, black on white: uint8 [1024, 1024, 3].

    In the largest size at which all fit; characters that the font lacks are left out, but for
    dashes, each of which any other can stand for. Raises ValueError where they do not even fit at
    12 pixels an em.
    """
    known = [_writable(text) for text in texts]
    for em in range(LARGEST, SMALLEST - 1, -2):
        lines = [list(_wrapped(text, em)) for text in known]
        if _height(lines, em) <= SIDE - 2 * MARGIN:
            return _drawn(lines, em)
    raise ValueError(f"{sum(map(len, texts))} characters do not fit on one page")


def character(text: str) -> Pixels:
    """One character large in the middle of a page."""
    image = Image.new("RGB", (SIDE // 2, SIDE // 2), "white")
    middle = (SIDE // 4, SIDE // 4)
    ImageDraw.Draw(image).text(middle, text, "black", _font(SIDE // 4), anchor="mm")
    return np.array(image)


def missing(texts: Sequence[str]) -> str:
    """The letters, digits and characters, each once, that the font of the pages cannot write."""
    return "".join(sorted({c for text in texts for c in text if c.isalnum() and not _covers(c)}))


def _writable(text: str) -> str:
    return " ".join("".join(map(_written, text)).split())


def _written(character: str) -> str:
    if _covers(character):
        return character
    # A blank in its place would make two words of 9–20.
    return "-" if unicodedata.category(character) == "Pd" else " "


def _covers(character: str) -> bool:
    return fonts.covers(fonts.shipped()[FONT], character) or character.isspace()


def _font(em: int) -> ImageFont.FreeTypeFont:
    return fonts.load_font(fonts.shipped()[FONT], em)


@cache
def _advance(character: str) -> float:
    """In ems."""
    return _font(100).getlength(character) / 100


def _wrapped(text: str, em: int) -> Iterator[str]:
    """Lines no wider than the page, broken at blanks and beside Chinese characters."""
    room, line, width = (SIDE - 2 * MARGIN) / em, "", 0.0
    for part in _parts(text):
        if line and width + sum(map(_advance, part.rstrip())) > room:
            yield line.rstrip()
            line, width = "", 0.0
        line, width = line + part, width + sum(map(_advance, part))
    if line.strip():
        yield line.rstrip()


def _parts(text: str) -> Iterator[str]:
    """What may not be broken: words with the blanks after them, Chinese characters with the
    marks after them."""
    part = ""
    for character in text:
        wide = ord(character) >= 0x2E80
        mark = not character.isalnum() and not character.isspace()
        if part and (
            (wide and not mark) or part[-1].isspace() or (ord(part[-1]) >= 0x2E80 and not mark)
        ):
            yield part
            part = ""
        part += character
    if part:
        yield part


def _height(lines: Sequence[Sequence[str]], em: int) -> float:
    return em * (LEADING * sum(map(len, lines)) + GAP * (len(lines) - 1))


def _drawn(lines: Sequence[Sequence[str]], em: int) -> Pixels:
    image = Image.new("RGB", (SIDE, SIDE), "white")
    draw: Any = ImageDraw.Draw(image)
    y = (SIDE - _height(lines, em)) / 2
    for text in lines:
        for line in text:
            draw.text((MARGIN, round(y)), line, "black", _font(em))
            y += LEADING * em
        y += GAP * em
    return np.array(image)
