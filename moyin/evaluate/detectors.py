"""What an image shows, found from its pixels alone: text on a plain background."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

from moyin.ocr.colours import nearest
from moyin.ocr.engine import crop
from moyin.ocr.paddle import Pixels
from moyin.render.places import PLACES

Array = np.ndarray[Any, Any]
Box = tuple[int, int, int, int]  # left, top, right, bottom

BORDER = 1 / 32  # of the image's side: whose median is the background
FAINT = 40  # RGB distance below which nothing counts as text
GRID = 64  # cells a side on which the parts of a text are found
SPECK = 0.05  # share of the largest part's ink below which a part is noise


@dataclass(frozen=True, kw_only=True)
class Seen:
    """Names of the background's colour and, where there is text, of its colour and place, with
    its box and what it says."""

    background: str
    colour: str = ""
    place: str = ""
    box: Box | None = None
    text: str = ""


def look(image_hwc: Pixels, reader: Callable[[Pixels], str]) -> Seen:
    """Judge one line of text in a uint8 image [H, W, 3]; reader says what a crop reads."""
    ground = border(image_hwc)
    background = name(ground)
    ink = text_ink(image_hwc, ground)
    if not ink.any():
        return Seen(background=background)
    box, (height, width) = _box(ink), ink.shape
    return Seen(
        background=background,
        colour=name(_core(image_hwc[ink], ground)),
        # What fills the whole image is in no place, though its centre is in the middle.
        place="" if box == (0, 0, width, height) else place(box, height, width),
        box=box,
        text=reader(crop(image_hwc, box)),
    )


def ink_box(image_hwc: Pixels) -> Box | None:
    """The box around what stands out from the background; None where nothing does."""
    ink = text_ink(image_hwc, border(image_hwc))
    return _box(ink) if ink.any() else None


def place(box: tuple[float, float, float, float], height: int, width: int) -> str:
    """The place of a box in an image of any shape: the third, each way, of its centre."""
    row = int((box[1] + box[3]) / 2 * 3 / height)
    column = int((box[0] + box[2]) / 2 * 3 / width)
    return PLACES[min(2, max(0, row))][min(2, max(0, column))]


def colour_in(image_hwc: Pixels, box: tuple[float, float, float, float], ground: Array) -> str:
    """The name of the colour of what stands out from the background within a box; "" where
    nothing does."""
    left, top, right, bottom = (max(0, round(edge)) for edge in box)
    inside = image_hwc[top:bottom, left:right].reshape(-1, 3)
    away = np.linalg.norm(inside.astype(np.float32) - ground, axis=1)
    ink = inside[away > FAINT]
    return name(_core(ink, ground)) if len(ink) else ""


def regions(image_hwc: Pixels) -> list[Box]:
    """The boxes, in pixels, of the separate parts of what stands out from the background, without
    specks; parts are told apart on a grid of 64 cells, a gap of one cell joins them."""
    away = np.linalg.norm(image_hwc.astype(np.float32) - border(image_hwc), axis=2)
    ink = away > FAINT
    amount, _, _ = _amount(ink)
    parts = _parts(amount > 0)
    sums = [sum(amount[cell] for cell in part) for part in parts]
    large = [p for p, total in zip(parts, sums, strict=True) if total >= SPECK * max(sums)]
    return sorted((_cells_box(part, *ink.shape) for part in large), key=lambda b: (b[1], b[0]))


def _cells_box(part: list[tuple[int, int]], height: int, width: int) -> Box:
    """The box in pixels around cells of the grid."""
    rows, columns = zip(*part, strict=True)
    left, right = (round(c * width / GRID) for c in (min(columns), max(columns) + 1))
    top, bottom = (round(r * height / GRID) for r in (min(rows), max(rows) + 1))
    return left, top, right, bottom


def text_ink(image_hwc: Pixels, ground: Array) -> Array:
    """The pixels, bool [H, W], of the text: those at least half as far from the background as
    the farthest, without specks and small separate parts."""
    away = np.linalg.norm(image_hwc.astype(np.float32) - ground, axis=2)
    smooth = Image.fromarray(np.clip(away, 0, 255).astype(np.uint8)).filter(
        ImageFilter.MedianFilter(5)
    )
    far = np.asarray(smooth, np.float32)
    peak = float(np.percentile(far, 99.8))
    ink = far > max(FAINT, peak / 2)
    return ink & _large_parts(ink)


def border(image_hwc: Pixels) -> Array:
    """The median colour [3] of the outermost pixels: the background's."""
    width = max(1, round(BORDER * min(image_hwc.shape[:2])))
    inner = np.ones(image_hwc.shape[:2], bool)
    inner[width:-width, width:-width] = False
    middle: Array = np.median(image_hwc[inner], axis=0)
    return middle


def _core(pixels_nc: Pixels, ground: Array) -> Array:
    """The median colour [3] of the half that is farther from the background: at soft edges the
    two mix."""
    away = np.linalg.norm(pixels_nc.astype(np.float32) - ground, axis=1)
    middle: Array = np.median(pixels_nc[away >= np.median(away)], axis=0)
    return middle


def name(rgb: Array) -> str:
    """The named colour that an RGB value [3] is nearest to."""
    red, green, blue = (round(float(level)) for level in rgb)
    return nearest((red, green, blue))


def _box(ink: Array) -> Box:
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _large_parts(ink: Array) -> Array:
    """True on the cells whose connected part holds enough ink, bool [H, W]."""
    amount, rows, columns = _amount(ink)
    parts = _parts(amount > 0)
    sums = [sum(amount[cell] for cell in part) for part in parts]
    kept = np.zeros((GRID, GRID), bool)
    for part, total in zip(parts, sums, strict=True):
        if total >= SPECK * max(sums):
            kept[tuple(zip(*part, strict=True))] = True
    wide: Array = kept[rows[:, None], columns[None, :]]
    return wide


def _amount(ink: Array) -> tuple[Array, Array, Array]:
    """The ink of each cell of the grid, and the cell of each row and each column of pixels."""
    height, width = ink.shape
    rows = np.arange(height) * GRID // height
    columns = np.arange(width) * GRID // width
    amount = np.zeros((GRID, GRID))
    np.add.at(amount, (rows[:, None], columns[None, :]), ink)
    return amount, rows, columns


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
