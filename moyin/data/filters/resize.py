"""Scale and crop every image to the nearest aspect bucket."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from moyin.data.item import Item
from moyin.dataset.sample import Pixels
from moyin.prompt.grid import PIXELS


class ResizeFilter:
    """Scales and center-crops images to a bucket; drops those that are too small or too narrow."""

    name = "resize"

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """size: side of the square bucket in pixels; the other buckets have about its area.

        longest: maximum ratio of a bucket's sides. crop: maximum share of an image's area that is
        cropped. enlarge: maximum factor by which an image is enlarged.
        """

        size: int = 512
        longest: float = 2.0
        crop: float = 0.25
        enlarge: float = 1.25

        def __post_init__(self) -> None:
            if self.size <= 0 or self.size % PIXELS:
                raise ValueError(f"size must be a multiple of {PIXELS}, not {self.size}")
            if self.longest < 1 or not 0 <= self.crop < 1 or not self.enlarge > 0:
                raise ValueError("longest must be at least 1, crop in [0, 1), enlarge above 0")

        def build(self) -> ResizeFilter:
            return ResizeFilter(self)

    def __init__(self, config: Config) -> None:
        self.config = config
        self.buckets = buckets(config.size, config.longest)

    def __call__(self, items: Sequence[Item]) -> list[Item]:
        return [self._resize(item) for item in items]

    def _resize(self, item: Item) -> Item:
        height, width = item.sample.image.shape[:2]
        bucket = min(self.buckets, key=lambda b: abs(math.log(b[0] / b[1] * width / height)))
        scale = max(bucket[0] / height, bucket[1] / width)
        cropped = 1 - bucket[0] * bucket[1] / (height * width * scale**2)
        size = f"{width}x{height}"
        if cropped > self.config.crop:
            return item.drop(self.name, "too long and narrow", size)
        if scale > self.config.enlarge:
            return item.drop(self.name, "too small", size)
        item = item.with_values(bucket=f"{bucket[1]}x{bucket[0]}")
        if (height, width) == bucket:
            return item
        if item.rendered:
            return item.drop(self.name, "not the size of a bucket", size)
        return item.with_sample(image=center_crop(item.sample.image, bucket))


def buckets(size: int, longest: float) -> list[tuple[int, int]]:
    """Height and width of every bucket, in multiples of 32.

    For each height, the width that comes nearest to an area of `size` squared, and the transposed
    sizes, up to a ratio of `longest` to 1.
    """
    side = size // PIXELS
    wide = [(rows, round(side * side / rows)) for rows in range(1, side + 1)]
    fitting = [(rows, columns) for rows, columns in wide if columns <= longest * rows]
    both = {*fitting, *((columns, rows) for rows, columns in fitting)}
    return sorted((rows * PIXELS, columns * PIXELS) for rows, columns in both)


def center_crop(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """The largest centered part of the image with the shape of `size` (height, width), scaled to
    that size."""
    height, width = pixels.shape[:2]
    scale = min(height / size[0], width / size[1])
    # Rounding must not lead outside the image.
    top = max(0.0, (height - size[0] * scale) / 2)
    left = max(0.0, (width - size[1] * scale) / 2)
    box = (left, top, width - left, height - top)
    image = Image.fromarray(pixels)
    scaled = image.resize((size[1], size[0]), Image.Resampling.LANCZOS, box, reducing_gap=3.0)
    return np.array(scaled)
