"""Images that Moyin draws itself, as one more source."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from moyin.data.item import Item
from moyin.data.readers import SHARE, Share
from moyin.render.renderer import Renderer

SOURCE = "rendered"
NO_GLYPH = "another draft for a glyph that its font lacks"  # noted once for each draft


@dataclass(frozen=True)
class Rendered:
    """Images `first` to `last` - 1 of the endless row that configuration and seed name."""

    renderer: Renderer.Config
    seed: int
    first: int
    last: int

    def read(self) -> Iterator[Item]:
        renderer = self.renderer.build()
        for index in range(self.first, self.last):
            sample = renderer(self.seed, index)
            item = Item(source=SOURCE, key=f"{index}", sample=sample)
            yield item.noted(*[NO_GLYPH] * sample.dropped)


def shares(renderer: Renderer.Config, seed: int, count: int) -> Iterator[Share]:
    """The first `count` images."""
    for first in range(0, count, SHARE):
        yield Rendered(renderer, seed, first, min(first + SHARE, count))
