"""Clarity: images without contrast or without sharp edges are dropped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from moyin.data.item import Item
from moyin.dataset.sample import Pixels

Array = np.ndarray[Any, Any]


class Clarity:
    """Measures `contrast` and `sharpness`, in grey levels, and drops what has too little."""

    name = "clarity"

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """contrast: standard deviation of the grey levels. sharpness: see `sharpness`."""

        contrast: float = 4.0
        sharpness: float = 2.0

        def build(self) -> Clarity:
            return Clarity(self)

    def __init__(self, config: Config) -> None:
        self.config = config

    def __call__(self, items: Sequence[Item]) -> list[Item]:
        return [self._measured(item) for item in items]

    def _measured(self, item: Item) -> Item:
        grey = greys(item.sample.image)
        contrast, sharp = float(grey.std()), sharpness(grey)
        measured = item.with_values(contrast=round(contrast, 3), sharpness=round(sharp, 3))
        if contrast < self.config.contrast:
            return measured.drop(self.name, "flat", f"contrast {contrast:.1f}")
        if sharp < self.config.sharpness:
            return measured.drop(self.name, "blurred", f"sharpness {sharp:.1f}")
        return measured


def greys(image: Pixels) -> Array:
    """Grey levels from 0 to 255, float32 [height, width]."""
    return np.asarray(Image.fromarray(image).convert("L"), np.float32)


def sharpness(grey: Array) -> float:
    """The standard deviation of the Laplacian, in grey levels (Pech-Pacheco et al. 2000)."""
    middle = grey[1:-1, 1:-1]
    around = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
    return float((around - 4 * middle).std())
