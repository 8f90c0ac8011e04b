"""Drop images without contrast or without sharp edges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from moyin.data.item import Item
from moyin.dataset.sample import Pixels

Array = np.ndarray[Any, Any]


class BlurFilter:
    """Measures `contrast` and `sharpness`, in grey levels, and drops images below the minimum."""

    name = "blur"

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Minimum standard deviation of the grey levels, and minimum `sharpness`."""

        contrast: float = 4.0
        sharpness: float = 2.0

        def build(self) -> BlurFilter:
            return BlurFilter(self)

    def __init__(self, config: Config) -> None:
        self.config = config

    def __call__(self, items: Sequence[Item]) -> list[Item]:
        return [self._filter(item) for item in items]

    def _filter(self, item: Item) -> Item:
        levels = grey_levels(item.sample.image)
        contrast, sharp = float(levels.std()), sharpness(levels)
        measured = item.with_values(contrast=round(contrast, 3), sharpness=round(sharp, 3))
        if contrast < self.config.contrast:
            return measured.drop(self.name, "flat", f"contrast {contrast:.1f}")
        if sharp < self.config.sharpness:
            return measured.drop(self.name, "blurred", f"sharpness {sharp:.1f}")
        return measured


def grey_levels(image: Pixels) -> Array:
    """Grey levels from 0 to 255, float32 [height, width]."""
    return np.asarray(Image.fromarray(image).convert("L"), np.float32)


def sharpness(levels: Array) -> float:
    """Standard deviation of the Laplacian, in grey levels (Pech-Pacheco et al. 2000)."""
    center = levels[1:-1, 1:-1]
    neighbours = levels[:-2, 1:-1] + levels[2:, 1:-1] + levels[1:-1, :-2] + levels[1:-1, 2:]
    return float((neighbours - 4 * center).std())
