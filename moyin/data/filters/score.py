"""One quality score from the measurements of the other stages."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from moyin.data.item import Item

CONTRAST, SHARPNESS = 64.0, 24.0  # grey levels above which more is not better


class Score:
    """Adds `quality` in [0, 1] and drops images below the minimum."""

    name = "score"

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """minimum: quality below which an image is dropped."""

        minimum: float = 0.0

        def build(self) -> Score:
            return Score(self)

    def __init__(self, config: Config) -> None:
        self.config = config

    def __call__(self, items: Sequence[Item]) -> list[Item]:
        return [self._score(item) for item in items]

    def _score(self, item: Item) -> Item:
        value = round(quality(item), 4)
        item = item.with_values(quality=value)
        if value < self.config.minimum:
            return item.drop(self.name, "low quality", f"{value:.2f}")
        return item


def quality(item: Item) -> float:
    """The geometric mean of contrast and sharpness, relative to CONTRAST and SHARPNESS, and of
    the text's precision and recall if text was expected and recognised."""
    factors = [
        min(1.0, float(item.values["contrast"]) / CONTRAST),
        min(1.0, float(item.values["sharpness"]) / SHARPNESS),
    ]
    text = [float(item.values[name]) for name in ("text_precision", "text_recall")]
    factors += text if min(text) >= 0 else []
    return float(math.prod(factors) ** (1 / len(factors)))
