"""What a picture shows, found from its pixels alone: one line of text on a plain background."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

from moyin.data.colours import nearest
from moyin.data.places import place_of

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
Array = np.ndarray[Any, Any]
Box = tuple[int, int, int, int]  # left, top, right, bottom

BORDER = 1 / 32  # of the picture's side: whose median is the background
FAINT = 40  # RGB distance below which nothing counts as text
GRID = 64  # cells a side on which the parts of a text are found
SPECK = 0.05  # share of the largest part's ink below which a part is noise
AROUND = 0.15  # margin of what is read, in the text's height


@dataclass(frozen=True, kw_only=True)
class Seen:
    """Names of the background's colour and, where there is text, of its colour and place, with
    its box and what it says."""

    background: str
    colour: str = ""
    place: str = ""
    box: Box | None = None
    text: str = ""


def look(picture_hwc: Pixels, reader: Callable[[Pixels], str]) -> Seen:
    """Judge a square uint8 picture [H, W, 3]; reader says what a crop reads."""
    ground = _border(picture_hwc)
    background = _name(ground)
    ink = text_ink(picture_hwc, ground)
    if not ink.any():
        return Seen(background=background)
    box, side = _box(ink), len(picture_hwc)
    return Seen(
        background=background,
        colour=_name(_core(picture_hwc[ink], ground)),
        # What fills the whole picture is in no place, though its centre is in the middle.
        place="" if box == (0, 0, side, side) else place_of(box, side),
        box=box,
        text=reader(crop(picture_hwc, box)),
    )


def text_ink(picture_hwc: Pixels, ground: Array) -> Array:
    """The pixels, bool [H, W], of the text: those at least half as far from the background as
    the farthest, without specks and small separate parts."""
    away = np.linalg.norm(picture_hwc.astype(np.float32) - ground, axis=2)
    smooth = Image.fromarray(np.clip(away, 0, 255).astype(np.uint8)).filter(
        ImageFilter.MedianFilter(5)
    )
    far = np.asarray(smooth, np.float32)
    peak = float(np.percentile(far, 99.8))
    ink = far > max(FAINT, peak / 2)
    return ink & _large_parts(ink)


def crop(picture_hwc: Pixels, box: Box) -> Pixels:
    """The box with a margin around it, as far as the picture goes."""
    left, top, right, bottom = box
    margin = round(AROUND * (bottom - top)) + 2
    return picture_hwc[
        max(0, top - margin) : bottom + margin, max(0, left - margin) : right + margin
    ]


def _border(picture_hwc: Pixels) -> Array:
    """The median colour [3] of the outermost pixels."""
    width = max(1, round(BORDER * len(picture_hwc)))
    inner = np.ones(picture_hwc.shape[:2], bool)
    inner[width:-width, width:-width] = False
    middle: Array = np.median(picture_hwc[inner], axis=0)
    return middle


def _core(pixels_nc: Pixels, ground: Array) -> Array:
    """The median colour [3] of the half that is farther from the background: at soft edges the
    two mix."""
    away = np.linalg.norm(pixels_nc.astype(np.float32) - ground, axis=1)
    middle: Array = np.median(pixels_nc[away >= np.median(away)], axis=0)
    return middle


def _name(rgb: Array) -> str:
    red, green, blue = (round(float(level)) for level in rgb)
    return nearest((red, green, blue))


def _box(ink: Array) -> Box:
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _large_parts(ink: Array) -> Array:
    """True on the cells whose connected part holds enough ink, bool [H, W]."""
    height, width = ink.shape
    rows = np.arange(height) * GRID // height
    columns = np.arange(width) * GRID // width
    amount = np.zeros((GRID, GRID))
    np.add.at(amount, (rows[:, None], columns[None, :]), ink)
    parts = _parts(amount > 0)
    sums = [sum(amount[cell] for cell in part) for part in parts]
    kept = np.zeros((GRID, GRID), bool)
    for part, total in zip(parts, sums, strict=True):
        if total >= SPECK * max(sums):
            kept[tuple(zip(*part, strict=True))] = True
    wide: Array = kept[rows[:, None], columns[None, :]]
    return wide


def _parts(cells: Array) -> list[list[tuple[int, int]]]:
    """The connected parts of a bool grid, diagonal neighbours and a gap of one cell included."""
    left = {(int(r), int(c)) for r, c in np.argwhere(cells)}
    parts = []
    while left:
        part = [left.pop()]
        for row, column in part:  # grows while it is walked
            near = {(row + r, column + c) for r in range(-2, 3) for c in range(-2, 3)} & left
            part += near
            left -= near
        parts.append(part)
    return parts
