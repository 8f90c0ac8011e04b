"""MindRecord files, MindSpore's own tables: read where MindSpore is the backend."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from moyin.data.item import Item, found
from moyin.data.readers import SHARE, Share, tables
from moyin.data.readers.files import Faults
from moyin.data.readers.walk import Entry

SUFFIX = ".mindrecord"
TYPES = {"bytes": pa.binary(), "string": pa.string()}  # any other kind is no image or caption


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
            names, _ = described(path)
            rows = io.read_records(path, names, self.first, self.last)
            for number, row in enumerate(rows, self.first):
                folder = (self.root / self.file).parent
                yield tables.item(self.root, folder, f"{self.file}:{number}", row)
        except (OSError, ValueError) as error:
            yield found(self.root.name, self.file, fault=f"damaged table: {error}")


def shares(root: Path, name: str) -> Iterator[Share]:
    """The rows of a file, 64 at a time."""
    try:
        _, count = described(root / name)
    except (OSError, ValueError) as error:
        yield Faults(root.name, (Entry(name, f"unreadable table: {error}"),))
        return
    for first in range(0, count, SHARE):
        yield Records(root, name, first, min(first + SHARE, count))


def described(path: Path) -> tuple[list[str], int]:
    """The fields to read, and how many rows there are. ValueError where none holds images."""
    from moyin.backend import io

    kinds, count = io.record_kinds(path)
    fields = [(name, TYPES.get(kind, pa.null())) for name, kind in kinds.items()]
    return tables.columns(pa.schema(fields)), count
