"""Duplicates across the whole dataset: the first of its kind is kept.

This is the one decision that depends on all images before, so it is made in their order, in one
place. What is known of them lies in a file, not in memory.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from moyin.data.filters.fingerprint import COARSE, distance
from moyin.data.item import Item

DIGITS = COARSE * COARSE // 4  # of `look` that are the coarse hash
BANDS = 5  # of the coarse hash: where four bits or fewer differ, one band is the same
CACHE = 64 << 10  # KiB of the index that may lie in memory


class Duplicates:
    """Drops exact copies, and near ones among images that were not rendered."""

    name = "duplicates"

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """near: of the fine hash's 256 bits, how many may differ between copies; -1 looks for
        exact copies alone."""

        near: int = 20

        def build(self) -> Duplicates:
            return Duplicates(self)

    def __init__(self, config: Config) -> None:
        self.config = config
        self._folder = tempfile.TemporaryDirectory(prefix="moyin-")
        self._index = sqlite3.connect(Path(self._folder.name) / "index", isolation_level=None)
        self._index.executescript(
            f"""
            pragma journal_mode = off; pragma synchronous = off; pragma cache_size = -{CACHE};
            create table images (pixels text primary key, look text, name text);
            create table bands (band int, value int, image int);
            create index places on bands (band, value);
            begin;
            """
        )

    def __call__(self, item: Item) -> Item:
        """The item, dropped if a copy of it was seen; else it is remembered."""
        pixels, look = str(item.values["pixels"]), str(item.values["look"])
        copy = self._first("select name from images where pixels = ?", pixels)
        if copy:
            return item.drop(self.name, "exact copy", f"of {copy}")
        if not item.rendered and self.config.near >= 0:
            near = self._nearest(look)
            if near is not None:
                return item.drop(self.name, "near copy", f"of {near[1]}, {near[0]} bits")
        self.remember(pixels, "" if item.rendered else look, f"{item.source}/{item.key}")
        return item

    def remember(self, pixels: str, look: str, name: str) -> None:
        """Note an image that is kept; one without a look is no near copy of any."""
        row = self._index.execute("insert into images values (?, ?, ?)", (pixels, look, name))
        if look and self.config.near >= 0:
            rows = [(band, value, row.lastrowid) for band, value in _bands(look)]
            self._index.executemany("insert into bands values (?, ?, ?)", rows)

    def close(self) -> None:
        self._index.close()
        self._folder.cleanup()

    def _first(self, query: str, *values: str) -> str:
        row = self._index.execute(query, values).fetchone()
        return str(row[0]) if row else ""

    def _nearest(self, look: str) -> tuple[int, str] | None:
        """The closest image within `near` bits, and by how many it differs."""
        query = """select look, name from bands join images on images.rowid = image
                   where band = ? and value = ?"""
        rows = (row for band in _bands(look) for row in self._index.execute(query, band))
        near = ((distance(look[DIGITS:], other[DIGITS:]), name) for other, name in rows)
        return min((pair for pair in near if pair[0] <= self.config.near), default=None)


def _bands(look: str) -> Iterator[tuple[int, int]]:
    """The coarse hash in five parts, each with its number."""
    bits = int(look[:DIGITS], 16)
    width = -(-COARSE * COARSE // BANDS)
    for band in range(BANDS):
        yield band, (bits >> (band * width)) & ((1 << width) - 1)
