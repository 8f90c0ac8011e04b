"""Fitting: every image comes to the size of the aspect bucket that is nearest to it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from moyin.data.item import Item
from moyin.dataset.sample import Pixels
from moyin.prompt.grid import PIXELS


class Fit:
    """Scales and crops to a bucket, evenly from both sides; drops what is too small or too long."""

    name = "fit"

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """size: side of the square bucket in pixels; the others have its area, about.

        longest: of a bucket's sides, the longer one by the shorter. crop: the share of an image
        that may be lost. enlarge: how many times an image may be enlarged.
        """

        size: int = 512
        longest: float = 2.0
        crop: float = 0.25
        enlarge: float = 1.25

        def __post_init__(self) -> None:
            if self.size <= 0 or self.size % PIXELS:
                raise ValueError(f"size is a multiple of {PIXELS}, not {self.size}")
            if self.longest < 1 or not 0 <= self.crop < 1 or not self.enlarge > 0:
                raise ValueError("longest is 1 or more, crop from 0 to 1, enlarge above 0")

        def build(self) -> Fit:
            return Fit(self)

    def __init__(self, config: Config) -> None:
        self.config = config
        self.buckets = buckets(config.size, config.longest)

    def __call__(self, items: Sequence[Item]) -> list[Item]:
        return [self._fitted(item) for item in items]

    def _fitted(self, item: Item) -> Item:
        height, width = item.sample.image.shape[:2]
        bucket = min(self.buckets, key=lambda b: abs(math.log(b[0] / b[1] * width / height)))
        scale = max(bucket[0] / height, bucket[1] / width)
        lost = 1 - bucket[0] * bucket[1] / (height * width * scale**2)
        said = f"{height}x{width}"
        if lost > self.config.crop:
            return item.drop(self.name, "too long and narrow", said)
        if scale > self.config.enlarge:
            return item.drop(self.name, "too small", said)
        item = item.with_values(bucket=f"{bucket[0]}x{bucket[1]}")
        if (height, width) == bucket:
            return item
        if item.rendered:
            return item.drop(self.name, "of no bucket's size", said)
        return item.with_sample(image=covering(item.sample.image, bucket))


def buckets(size: int, longest: float) -> list[tuple[int, int]]:
    """Height and width of every bucket, sides multiples of 32: for each height the width that
    comes nearest to the area of `size` squared, and the same turned, up to `longest` to 1."""
    side = size // PIXELS
    wide = [(rows, round(side * side / rows)) for rows in range(1, side + 1)]
    fitting = [(rows, columns) for rows, columns in wide if columns <= longest * rows]
    both = {*fitting, *((columns, rows) for rows, columns in fitting)}
    return sorted((rows * PIXELS, columns * PIXELS) for rows, columns in both)


def covering(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """The middle of the image at `size` (height, width), as much of it as has that shape."""
    height, width = pixels.shape[:2]
    scale = min(height / size[0], width / size[1])
    # Rounding must not lead out of the image.
    down = max(0.0, (height - size[0] * scale) / 2)
    across = max(0.0, (width - size[1] * scale) / 2)
    box = (across, down, width - across, height - down)
    image = Image.fromarray(pixels)
    scaled = image.resize((size[1], size[0]), Image.Resampling.LANCZOS, box, reducing_gap=3.0)
    return np.array(scaled)
