"""Sizes counted in semantic tokens: one token covers 32 × 32 pixels of the image."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

PIXELS = 32  # a side of what one token covers
PREVIEW = 16  # tokens on a side of a square image's preview


@dataclass(frozen=True)
class Grid:
    """An image's rows and columns of semantic tokens."""

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
    def size(self) -> str:
        """`WIDTHxHEIGHT` in pixels."""
        return format_size(self.height, self.width)

    @property
    def count(self) -> int:
        """Tokens."""
        return self.rows * self.columns

    def preview(self) -> Grid:
        """The grid of about 256 tokens, of the same shape, that is generated first.

        ValueError for an aspect ratio of 256 or more, where a side would have no token.
        """
        ratio = self.rows / self.columns
        # In this order of operations: rounding down must agree with GLM-Image's processor.
        rows = int(math.sqrt(ratio) * PREVIEW)
        columns = int(math.sqrt(1 / ratio) * PREVIEW)
        if not rows or not columns:
            raise ValueError(f"{self.size}: the longer side must be less than 256 times the other")
        return Grid(rows, columns)


def parse_size(text: str) -> Grid:
    """The grid of a size such as `768x512`, WIDTHxHEIGHT in pixels.

    ValueError for another form, and unless both sides are multiples of 32.
    """
    match = re.fullmatch(r"(\d+)[x×*](\d+)", text.strip())
    if not match:
        raise ValueError(f"size {text}: write WIDTHxHEIGHT, such as 768x512")
    return Grid.of_pixels(height=int(match[2]), width=int(match[1]))


def format_size(height: int, width: int) -> str:
    """`WIDTHxHEIGHT`, as `parse_size` reads it."""
    return f"{width}x{height}"
