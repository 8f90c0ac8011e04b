"""Several stores read as one: the rows of the second follow those of the first."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from moyin.dataset.dataset import Store
from moyin.dataset.sample import Sample


class Stores:
    """Stores side by side, with their weights in a mixture. ValueError where one is empty."""

    def __init__(self, parts: Sequence[Store], weights: Sequence[float] = ()) -> None:
        self.parts = tuple(parts)
        for store in self.parts:
            if not len(store):
                raise ValueError(f"{store.path} holds no pictures yet: go on with moyin prepare")
        self.weights = tuple(weights) or tuple(float(len(store)) for store in self.parts)
        self.starts = [0, *itertools.accumulate(len(store) for store in self.parts)]

    @classmethod
    def open(cls, text: str) -> Stores:
        """`STORE`, several as `A,B`, or a mixture as `A:0.7,B:0.3`; ValueError for anything else.

        Without weights a store counts by its rows.
        """
        if Path(text).exists():
            return cls([Store.open(text)])
        named = [_named(part) for part in text.split(",")]
        weights = [weight for _, weight in named if weight is not None]
        if weights and (len(weights) < len(named) or min(weights) <= 0):
            raise ValueError(
                f"data={text}: give every store a weight above 0, A:0.7,B:0.3, or none"
            )
        return cls([Store.open(path) for path, _ in named], weights)

    @property
    def path(self) -> str:
        """The stores' folders, for messages."""
        return ", ".join(str(store.path) for store in self.parts)

    def __len__(self) -> int:
        return self.starts[-1]

    def placed(self) -> Iterator[tuple[int, Store, float]]:
        """Every store with the number of its first row and its weight."""
        return zip(self.starts, self.parts, self.weights, strict=False)

    def read(self, names: Sequence[str], indices: Iterable[int]) -> list[dict[str, Any]]:
        """As `Store.read`, with rows counted through all stores."""
        found = (self._at(int(index)) for index in indices)
        return [store.read(names, [row])[0] for store, row in found]

    def sample(self, index: int) -> Sample:
        """As `Store.sample`."""
        store, row = self._at(int(index))
        return store.sample(row)

    def _at(self, index: int) -> tuple[Store, int]:
        if not 0 <= index < len(self):
            raise IndexError(f"row {index} of {self.path}, which have {len(self)}")
        part = bisect.bisect_right(self.starts, index) - 1
        return self.parts[part], index - self.starts[part]


def _named(text: str) -> tuple[str, float | None]:
    """Path and weight of one store; a path that is there may end as a weight does."""
    path, colon, weight = text.strip().rpartition(":")
    if not colon or Path(text.strip()).exists():
        return text.strip(), None
    try:
        return path, float(weight)
    except ValueError:
        return text.strip(), None
