"""Sizes counted in semantic tokens: one id covers 32 × 32 pixels of the image."""

from __future__ import annotations

import math
from dataclasses import dataclass

PIXELS = 32  # a side of what one id covers
PREVIEW = 16  # ids on a side of a square image's preview


@dataclass(frozen=True)
class Grid:
    """An image's rows and columns of ids."""

    rows: int
    columns: int

    @classmethod
    def of_pixels(cls, height: int, width: int) -> Grid:
        """The grid of an image. ValueError unless both sides are positive multiples of 32."""
        for name, side in (("height", height), ("width", width)):
            if side <= 0 or side % PIXELS:
                nearest = max(PIXELS, round(side / PIXELS) * PIXELS)
                raise ValueError(f"{name} {side}: it must be a multiple of {PIXELS}; try {nearest}")
        return cls(height // PIXELS, width // PIXELS)

    @property
    def height(self) -> int:
        """Pixels."""
        return self.rows * PIXELS

    @property
    def width(self) -> int:
        """Pixels."""
        return self.columns * PIXELS

    @property
    def count(self) -> int:
        """Ids."""
        return self.rows * self.columns

    def preview(self) -> Grid:
        """The grid of about 256 ids, of the same shape, that is written first.

        ValueError where a side would have no id: beyond an aspect ratio of 256.
        """
        ratio = self.rows / self.columns
        # In this order of operations: rounding down must agree with GLM-Image's processor.
        rows = int(math.sqrt(ratio) * PREVIEW)
        columns = int(math.sqrt(1 / ratio) * PREVIEW)
        if not rows or not columns:
            raise ValueError(f"{self.height}x{self.width}: too narrow; make it less than 256 to 1")
        return Grid(rows, columns)
