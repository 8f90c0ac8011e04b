"""The ink of an image, as a decoder's tokens are to read it: how much of each cell it covers."""

from __future__ import annotations

from typing import Any

import numpy as np

from moyin.backend import Tensor, ops
from moyin.prompt.grid import PIXELS
from moyin.train.objectives.base import Array
from moyin.train.objectives.glyph_encoder import bitmap

CELL = 4  # pixels a side
CELLS = PIXELS // 2 // CELL  # along a token of the decoder


def cut(lines: list[dict[str, Any]], grid: tuple[int, ...], corner: Any, side: int) -> Array:
    """Coverage of the cells under the tokens of a crop of side x side ids whose first id is at
    `corner` (row, column): [tokens, CELLS²] float32, in a token row by row."""
    fine = PIXELS // CELL
    top, left = (fine * n for n in corner)
    cells = coverage(lines, grid)[top : top + fine * side, left : left + fine * side]
    across = cells.shape[0] // CELLS
    cells = cells.reshape(across, CELLS, across, CELLS).transpose(0, 2, 1, 3)
    return cells.reshape(across**2, CELLS**2)


def unread(error_bnc: Tensor, ink_bnc: Tensor, written_bn: Tensor) -> Tensor:
    """Of the variance of the ink under text, the share that is not told."""
    share = written_bn[:, :, None] / (ops.sum(written_bn) * CELLS**2)
    mean = ops.sum(ink_bnc * share)
    return ops.sum(error_bnc * share) / ops.sum(ops.square(ink_bnc - mean) * share)


def coverage(lines: list[dict[str, Any]], grid: tuple[int, ...]) -> Array:
    """Share of each cell that ink covers, [rows, columns] float32, of an image of `grid` ids."""
    found = np.zeros([n * PIXELS // CELL for n in grid], np.float32)
    for line in lines:
        for character, (left, top, _, bottom) in zip(line["text"], line["squares"], strict=True):
            side = round((bottom - top) / CELL)
            ink = bitmap(character, line["font"], side).reshape(side, side).astype(np.float32) / 255
            y, x = round(top / CELL), round(left / CELL)
            here = found[max(y, 0) : y + side, max(x, 0) : x + side]
            part = ink[max(-y, 0) :, max(-x, 0) :][: here.shape[0], : here.shape[1]]
            np.maximum(here, part, out=here)
    return found
