"""Sources of images, cut into partitions that are each small enough for one worker.

    partition = next(partitions(Path("photos")))   a reference, a few hundred bytes
    items = partition.read()                       the images, read where they are needed

Partitions come in the same order on every machine and in every run, so their number says how far
a run got. No source is listed as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from moyin.data.item import Item

PARTITION = 64  # maximum images of a partition
MAX_BYTES = 2**26  # of an image file


class Partition(Protocol):
    """A part of a source: picklable, with a `repr` that is the same in every run."""

    def read(self) -> Iterator[Item]:
        """The images of this part, in order; an unreadable one is an item that is dropped."""
        ...


def partitions(path: Path) -> Iterator[Partition]:
    """The images under a folder or in one file: images, tar, Parquet, Arrow or MindRecord.

    ValueError if the path does not exist.
    """
    from moyin.data.readers import files

    if not path.exists():
        raise ValueError(f"no folder or file {path} to prepare images from")
    yield from files.partitions(path)
