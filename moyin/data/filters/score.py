"""Quality: one number from what the other stages measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from moyin.data.item import Item

CONTRAST, SHARPNESS = 64.0, 24.0  # grey levels from which on more is not better


class Score:
    """Adds `quality` in [0, 1] and drops what has too little."""

    name = "score"

    @dataclass(frozen=True, kw_only=True)
    class Config:
        least: float = 0.0

        def build(self) -> Score:
            return Score(self)

    def __init__(self, config: Config) -> None:
        self.config = config

    def __call__(self, items: Sequence[Item]) -> list[Item]:
        return [self._scored(item) for item in items]

    def _scored(self, item: Item) -> Item:
        value = round(quality(item), 4)
        scored = item.with_values(quality=value)
        if value < self.config.least:
            return scored.drop(self.name, "low quality", f"{value:.2f}")
        return scored


def quality(item: Item) -> float:
    """The geometric mean of contrast and sharpness, each as a share of what is plenty, and, where
    text was asked for and read, of its precision and recall."""
    parts = [
        min(1.0, float(item.values["contrast"]) / CONTRAST),
        min(1.0, float(item.values["sharpness"]) / SHARPNESS),
    ]
    text = [float(item.values[name]) for name in ("text_precision", "text_recall")]
    parts += text if min(text) >= 0 else []
    product = 1.0
    for part in parts:
        product *= part
    return float(product ** (1 / len(parts)))
