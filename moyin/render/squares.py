"""Text in squares on the token grid: one character per square; letters take part of one.

So a token covers one of few parts of a character, and the decoder draws few sizes. Text in several
rows is broken at every space, and a word longer than the image is broken evenly.
"""

from __future__ import annotations

import re
from itertools import pairwise

from PIL import Image, ImageDraw

from moyin.dataset.sample import Box
from moyin.prompt.grid import PIXELS
from moyin.render.fonts import Font, load_font
from moyin.render.text_shape import BASELINE, BODY, PlacedText
from moyin.render.typesetting import Row

LATIN_WIDTH = 0.75  # maximum share of a square's width that a letter takes


def letter_width(side: int) -> int:
    """Width of a letter's cell in pixels: whole tokens if these are at least two."""
    tokens = int(LATIN_WIDTH * side / PIXELS)
    return tokens * PIXELS if tokens > 1 else round(LATIN_WIDTH * side)


def row_width(text: str, side: int) -> int:
    """Width of a text in one row, in pixels."""
    return sum(side if ord(c) >= 0x2E80 else letter_width(side) for c in text)


def broken(text: str, side: int, width: int) -> list[Row]:
    """First character and end of each row of at most `width` pixels, without the spaces between
    them. Latin words are not broken, however long."""
    rows: list[Row] = []
    for word in re.finditer(r"\S+", text):
        start, end = word.span()
        count = 1 if word[0].isascii() else -(-row_width(word[0], side) // width)
        # The longer rows come first.
        ends = [end - (end - start) * (count - i) // count for i in range(count + 1)]
        rows += pairwise(ends)
    return rows


def extent(text: str, rows: list[Row], side: int) -> tuple[int, int]:
    """Width and height in pixels."""
    return max(row_width(text[a:b], side) for a, b in rows), side * len(rows)


def placed(
    text: str, rows: list[Row], font: Font, side: int, corner: tuple[int, int]
) -> PlacedText:
    """The text, which must have ink, with its top left at a corner (left, top). Shorter rows are
    centered, as nearly as the grid allows."""
    opened, (width, height) = load_font(font, round(BODY * side)), extent(text, rows, side)
    margin = side // 8  # for letters that are wider than their cells
    image = Image.new("L", (width + 2 * margin, height))
    draw = ImageDraw.Draw(image)
    cells = []
    for number, (start, end) in enumerate(rows):
        spare = width - row_width(text[start:end], side)
        x = margin + spare // 2 // PIXELS * PIXELS
        last = rows[number + 1][0] if number + 1 < len(rows) else len(text)
        for character in text[start:last]:  # with the blanks that end the row
            cell = (x, number * side, x + row_width(character, side), (number + 1) * side)
            middle = ((cell[0] + cell[2]) / 2, cell[1] + BASELINE * side)
            draw.text(middle, character, 255, opened, anchor="ms")
            cells.append(cell)
            x = cell[2]
    tight = image.getbbox()
    assert tight is not None, f"{font.name} draws nothing for {text!r}"
    inked = [_inked(image, character, cell) for character, cell in zip(text, cells, strict=True)]
    middles = [(left + right) / 2 for left, _, right, _ in cells]
    squares = [
        (x - side / 2, top, x + side / 2, bottom)
        for x, (_, top, _, bottom) in zip(middles, cells, strict=True)
    ]
    left, top = corner
    box, characters, covered = (
        [_moved(one, (left - margin, top)) for one in boxes] for boxes in ([tight], inked, squares)
    )
    return PlacedText(image.crop(tight), box[0], tuple(characters), tuple(covered))


def _inked(image: Image.Image, character: str, cell: tuple[int, int, int, int]) -> Box:
    """The character's ink in its cell; the whole cell for white space."""
    ink = None if character.isspace() else image.crop(cell).getbbox()
    return _moved(ink, cell) if ink else cell


def _moved(box: Box, by: tuple[int, ...]) -> Box:
    return box[0] + by[0], box[1] + by[1], box[2] + by[0], box[3] + by[1]
