"""Where an image has text, from the lines of its sample."""

from __future__ import annotations

from typing import Any

import numpy as np

from moyin.prompt.grid import PIXELS
from moyin.train.objectives.base import Array


def text_mask(
    lines: list[dict[str, Any]], grid: tuple[int, ...], shape: tuple[int, ...] | None = None
) -> Array:
    """Whether the centre of each cell lies on text: bool [rows, columns].

    lines: a sample's, with boxes in pixels of an image of `grid` (rows, columns) tokens. shape: of
    the result, `grid` by default.
    """
    boxes = [box for line in lines for box in character_squares(line)]
    rows, columns = shape or grid
    y = (np.arange(rows)[:, None] + 0.5) * PIXELS * grid[0] / rows
    x = (np.arange(columns)[None] + 0.5) * PIXELS * grid[1] / columns
    text = np.zeros((rows, columns), bool)
    for left, top, right, bottom in boxes:
        text |= (left < x) & (x < right) & (top < y) & (y < bottom)
    return text


def character_squares(line: dict[str, Any]) -> list[Any]:
    """Squares of a line's characters except blanks, or the line's box where it has no squares."""
    if not line.get("squares"):
        return [line["box"]]
    both = zip(line["text"], line["squares"], strict=True)
    return [square for character, square in both if not character.isspace()]
