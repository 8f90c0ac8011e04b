"""Several datasets read as one: the rows of the second follow those of the first."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from moyin.dataset.dataset import Dataset
from moyin.dataset.sample import Sample


class ConcatDataset:
    """Concatenated datasets, with their weights in a mixture. ValueError if one is empty."""

    def __init__(self, parts: Sequence[Dataset], weights: Sequence[float] = ()) -> None:
        self.parts = tuple(parts)
        for dataset in self.parts:
            if not len(dataset):
                raise ValueError(f"{dataset.path} has no images yet: finish its preparation")
        self.weights = tuple(weights) or tuple(float(len(dataset)) for dataset in self.parts)
        self.starts = [0, *itertools.accumulate(len(dataset) for dataset in self.parts)]

    @classmethod
    def open(cls, text: str) -> ConcatDataset:
        """Open `DATASET`, several as `A,B`, or a mixture as `A:0.7,B:0.3`.

        Without weights, a dataset's weight is its number of rows. ValueError for other text.
        """
        if Path(text).exists():
            return cls([Dataset.open(text)])
        named = [_parse(part) for part in text.split(",")]
        weights = [weight for _, weight in named if weight is not None]
        if weights and (len(weights) < len(named) or min(weights) <= 0):
            raise ValueError(
                f"data={text}: give every dataset a weight above 0, A:0.7,B:0.3, or none"
            )
        return cls([Dataset.open(path) for path, _ in named], weights)

    @property
    def path(self) -> str:
        """The folders of all datasets, for messages."""
        return ", ".join(str(dataset.path) for dataset in self.parts)

    def __len__(self) -> int:
        return self.starts[-1]

    def with_offsets(self) -> Iterator[tuple[int, Dataset, float]]:
        """The number of the first row, the dataset and its weight, for every dataset."""
        return zip(self.starts, self.parts, self.weights, strict=False)

    def read(self, names: Sequence[str], indices: Iterable[int]) -> list[dict[str, Any]]:
        """As `Dataset.read`, with row numbers that run through all datasets."""
        located = (self._locate(int(index)) for index in indices)
        return [dataset.read(names, [row])[0] for dataset, row in located]

    def sample(self, index: int) -> Sample:
        """As `Dataset.sample`."""
        dataset, row = self._locate(int(index))
        return dataset.sample(row)

    def _locate(self, index: int) -> tuple[Dataset, int]:
        if not 0 <= index < len(self):
            raise IndexError(f"row {index} of {self.path}, with {len(self)} rows")
        part = bisect.bisect_right(self.starts, index) - 1
        return self.parts[part], index - self.starts[part]


def _parse(text: str) -> tuple[str, float | None]:
    """Path and weight of one dataset. An existing path may look as if it ended in a weight."""
    path, colon, weight = text.strip().rpartition(":")
    if not colon or Path(text.strip()).exists():
        return text.strip(), None
    try:
        return path, float(weight)
    except ValueError:
        return text.strip(), None
