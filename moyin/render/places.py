"""Geometry of layouts: boxes inside the nine places of an image that keep clear of one another."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from moyin.dataset.sample import Box


def span(extent: float, third: int, size: int, margin: float) -> tuple[float, float] | None:
    """The range of centers at which an extent is in a third of the image; None if it is too large.

    Centers are at least a tenth of a third away from its edges, so that places are unambiguous.
    """
    cell = size / 3
    low = max(third * cell + cell / 10, margin + extent / 2)
    high = min((third + 1) * cell - cell / 10, size - margin - extent / 2)
    return (low, high) if low <= high else None


def room(third: int, size: int, margin: float) -> float:
    """The largest extent for which `span` returns a range."""
    cell = size / 3
    edge = cell - cell / 10 if third != 1 else size / 2
    return 2 * (edge - margin)


def overlaps(box: Box, others: Iterable[Box], gap: float) -> bool:
    """Whether the box is within `gap` pixels of one of the others."""
    left, top, right, bottom = box
    return any(
        left < o[2] + gap and o[0] < right + gap and top < o[3] + gap and o[1] < bottom + gap
        for o in others
    )


def box_in(
    cell: tuple[int, int],
    extent: tuple[int, int],
    size: int,
    margin: float,
    random: np.random.Generator,
    spread: float = 1.0,
) -> Box | None:
    """A random box of `extent` (width, height) in whole pixels with its center in `cell` (row,
    column); None if it does not fit. spread: share of the possible centers, about the middle one,
    from which it is drawn."""
    across = span(extent[0], cell[1], size, margin)
    down = span(extent[1], cell[0], size, margin)
    if across is None or down is None:
        return None
    left = round(random.uniform(*_inner(across, spread)) - extent[0] / 2)
    top = round(random.uniform(*_inner(down, spread)) - extent[1] / 2)
    return (float(left), float(top), float(left + extent[0]), float(top + extent[1]))


def _inner(span: tuple[float, float], share: float) -> tuple[float, float]:
    """The middle part of a range, of `share` of its length."""
    low, high = span
    cut = (1 - share) * (high - low) / 2
    return low + cut, high - cut


def row_in(
    cell: tuple[int, int],
    extent: tuple[int, int],
    size: int,
    grid: int,
    random: np.random.Generator,
    spread: float = 1.0,
) -> tuple[int, int] | None:
    """Random left and top, multiples of `grid`, of a box of `extent` (width, height) whose center
    is in `cell` (row, column); None if it does not fit. spread: as in `box_in`, at least one
    position."""
    corner = []
    for length, third in zip(extent, reversed(cell), strict=True):
        centres = span(length, third, size, 0)
        if centres is None:
            return None
        low, high = ((centre - length / 2) / grid for centre in centres)
        first, count = math.ceil(low), math.floor(high) - math.ceil(low) + 1
        if count < 1:
            return None
        choices = max(1, round(spread * count))
        first += (count - choices) // 2
        corner.append(grid * int(random.integers(first, first + choices)))
    return corner[0], corner[1]
