"""Rendered images as a source."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from moyin.data.item import Item
from moyin.data.readers import PARTITION, Partition
from moyin.render.renderer import Renderer

SOURCE = "rendered"
NO_GLYPH = "redrawn: a font lacked a glyph"  # one note per dropped draft


@dataclass(frozen=True)
class Rendered:
    """Images `first` to `last` - 1 of the sequence that configuration and seed determine."""

    renderer: Renderer.Config
    seed: int
    first: int
    last: int

    def read(self) -> Iterator[Item]:
        renderer = self.renderer.build()
        for index in range(self.first, self.last):
            sample = renderer(self.seed, index)
            item = Item(source=SOURCE, key=f"{index}", sample=sample)
            yield item.with_notes(*[NO_GLYPH] * sample.dropped)


def partitions(renderer: Renderer.Config, seed: int, count: int) -> Iterator[Partition]:
    """The first `count` images."""
    for first in range(0, count, PARTITION):
        yield Rendered(renderer, seed, first, min(first + PARTITION, count))
