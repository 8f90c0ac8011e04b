"""Colour and place detectors: what an image shows, computed from its pixels alone.

They expect text or objects on a plain background. `regions` and `text_mask` group pixels on a
coarse grid with OpenCV, which the `ocr` extra installs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

from moyin.ocr.colours import nearest
from moyin.ocr.engine import crop
from moyin.ocr.places import place_of
from moyin.ocr.result import Pixels

Array = np.ndarray[Any, Any]
Box = tuple[int, int, int, int]  # left, top, right, bottom

BORDER = 1 / 32  # width of the border, as a share of the shorter side
FAINT = 40  # smallest RGB distance from the background that counts as foreground
GRID = 64  # cells per side of the grid on which pixels are grouped
SPECK = 0.05  # groups with less foreground than this share of the largest group are noise
INSTALL = "the colour and place detectors need OpenCV: pip install 'moyin[ocr]'"


@dataclass(frozen=True, kw_only=True)
class DetectedText:
    """The background colour and, where there is text, its colour, place, bounding box and string.

    Colours are names of `colours.COLOURS`, places are names of `places.PLACES`.
    """

    background: str
    colour: str = ""
    place: str = ""
    box: Box | None = None
    text: str = ""


def detect_text(image_hwc: Pixels, read_line: Callable[[Pixels], str]) -> DetectedText:
    """Detect one block of text in a uint8 image [H, W, 3]; `read_line` reads its crop."""
    background = border_colour(image_hwc)
    mask = text_mask(image_hwc, background)
    if not mask.any():
        return DetectedText(background=colour_name(background))
    box, (height, width) = _bounding_box(mask), mask.shape
    return DetectedText(
        background=colour_name(background),
        colour=colour_name(_core_colour(image_hwc[mask], background)),
        # A box that fills the whole image has no place, although its centre is in the middle.
        place="" if box == (0, 0, width, height) else place_of(box, height, width),
        box=box,
        text=read_line(crop(image_hwc, box)),
    )


def foreground_box(image_hwc: Pixels) -> Box | None:
    """The bounding box of the foreground; None if there is none."""
    mask = text_mask(image_hwc, border_colour(image_hwc))
    return _bounding_box(mask) if mask.any() else None


def colour_in(image_hwc: Pixels, box: tuple[float, float, float, float], background: Array) -> str:
    """The name of the foreground colour within a box; "" if the box holds background only."""
    left, top, right, bottom = (max(0, round(edge)) for edge in box)
    inside = image_hwc[top:bottom, left:right].reshape(-1, 3)
    distance = np.linalg.norm(inside.astype(np.float32) - background, axis=1)
    foreground = inside[distance > FAINT]
    return colour_name(_core_colour(foreground, background)) if len(foreground) else ""


def regions(image_hwc: Pixels) -> list[Box]:
    """The bounding boxes, in pixels, of separate foreground regions, from top to bottom.

    Regions are separated on a grid of 64x64 cells; a gap of one cell does not separate them.
    Specks are left out.
    """
    distance = np.linalg.norm(image_hwc.astype(np.float32) - border_colour(image_hwc), axis=2)
    amount, _, _ = _amount_per_cell(distance > FAINT)
    labels, large = _large_groups(amount)
    height, width = image_hwc.shape[:2]
    boxes = [_pixel_box(labels == label, height, width) for label in large]
    return sorted(boxes, key=lambda box: (box[1], box[0]))


def text_mask(image_hwc: Pixels, background: Array) -> Array:
    """The pixels of the text, bool [H, W]: at least half as far from the background as the
    farthest ones, without specks and small separate groups."""
    distance = np.linalg.norm(image_hwc.astype(np.float32) - background, axis=2)
    smooth = Image.fromarray(np.clip(distance, 0, 255).astype(np.uint8)).filter(
        ImageFilter.MedianFilter(5)
    )
    far = np.asarray(smooth, np.float32)
    peak = float(np.percentile(far, 99.8))
    mask = far > max(FAINT, peak / 2)
    return mask & _in_large_groups(mask)


def border_colour(image_hwc: Pixels) -> Array:
    """The median colour [3] of the outermost pixels, taken as the background."""
    width = max(1, round(BORDER * min(image_hwc.shape[:2])))
    border = np.ones(image_hwc.shape[:2], bool)
    border[width:-width, width:-width] = False
    median: Array = np.median(image_hwc[border], axis=0)
    return median


def colour_name(rgb: Array) -> str:
    """The named colour nearest to an RGB value [3]."""
    red, green, blue = (round(float(level)) for level in rgb)
    return nearest((red, green, blue))


def _core_colour(pixels_nc: Pixels, background: Array) -> Array:
    """The median colour [3] of the half of the pixels that is farther from the background: soft
    edges mix both colours."""
    distance = np.linalg.norm(pixels_nc.astype(np.float32) - background, axis=1)
    median: Array = np.median(pixels_nc[distance >= np.median(distance)], axis=0)
    return median


def _bounding_box(mask: Array) -> Box:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _pixel_box(cells: Array, height: int, width: int) -> Box:
    """The bounding box in pixels of a mask of grid cells."""
    box = _bounding_box(cells)
    left, right = (round(c * width / GRID) for c in (box[0], box[2]))
    top, bottom = (round(r * height / GRID) for r in (box[1], box[3]))
    return left, top, right, bottom


def _in_large_groups(mask: Array) -> Array:
    """True on the pixels of all cells that belong to a large group, bool [H, W]."""
    amount, rows, columns = _amount_per_cell(mask)
    labels, large = _large_groups(amount)
    kept = np.isin(labels, large)
    wide: Array = kept[rows[:, None], columns[None, :]]
    return wide


def _amount_per_cell(mask: Array) -> tuple[Array, Array, Array]:
    """The number of foreground pixels per grid cell, and the cell index of each row and column."""
    height, width = mask.shape
    rows = np.arange(height) * GRID // height
    columns = np.arange(width) * GRID // width
    amount = np.zeros((GRID, GRID))
    np.add.at(amount, (rows[:, None], columns[None, :]), mask)
    return amount, rows, columns


def _large_groups(amount: Array) -> tuple[Array, list[int]]:
    """The group of each cell [GRID, GRID], 0 for empty cells, and the groups that are no specks.

    Cells are grouped with their diagonal neighbours and across a gap of one cell. Raises
    ModuleNotFoundError if OpenCV is missing.
    """
    try:
        import cv2
    except ModuleNotFoundError as e:
        raise ModuleNotFoundError(INSTALL, name=e.name) from None
    occupied = (amount > 0).astype(np.uint8)
    # Two cells are at most two apart exactly if their 2x2 dilations touch.
    dilated = cv2.dilate(occupied, np.ones((2, 2), np.uint8))
    _, labels = cv2.connectedComponents(dilated, connectivity=8)
    labels = labels * occupied
    sums = np.bincount(labels.ravel(), weights=amount.ravel())
    sums[0] = 0
    return labels, [int(n) for n in np.flatnonzero((sums > 0) & (sums >= SPECK * sums.max()))]
