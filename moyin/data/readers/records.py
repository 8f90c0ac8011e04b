"""MindRecord files, MindSpore's table format; reading them needs MindSpore as the backend."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from moyin.data.item import Item, source_item
from moyin.data.readers import PARTITION, Partition, tables
from moyin.data.readers.files import Faults
from moyin.data.readers.listing import Entry

SUFFIX = ".mindrecord"
TYPES = {"bytes": pa.binary(), "string": pa.string()}  # types of images and captions


@dataclass(frozen=True)
class Records:
    """Rows `first` to `last` - 1 of one file."""

    root: Path
    file: str
    first: int
    last: int

    def read(self) -> Iterator[Item]:
        from moyin.backend import io

        path = self.root / self.file
        try:
            names, _ = describe(path)
            rows = io.read_records(path, names, self.first, self.last)
            for number, row in enumerate(rows, self.first):
                folder = (self.root / self.file).parent
                yield tables.row_item(self.root, folder, f"{self.file}:{number}", row)
        except (OSError, ValueError) as error:
            yield source_item(self.root.name, self.file, fault=f"damaged table: {error}")


def partitions(root: Path, name: str) -> Iterator[Partition]:
    """The rows of a file, 64 per partition."""
    try:
        _, count = describe(root / name)
    except (OSError, ValueError) as error:
        yield Faults(root.name, (Entry(name, f"unreadable table: {error}"),))
        return
    for first in range(0, count, PARTITION):
        yield Records(root, name, first, min(first + PARTITION, count))


def describe(path: Path) -> tuple[list[str], int]:
    """The fields to read, and the number of rows. ValueError if no field holds images."""
    from moyin.backend import io

    kinds, count = io.record_kinds(path)
    fields = [(name, TYPES.get(kind, pa.null())) for name, kind in kinds.items()]
    return tables.columns(pa.schema(fields)), count
