"""Find duplicates in the whole dataset; the first image of each group is kept.

This decision depends on all earlier images, so one process makes it, in their order. The index is
a file on disk.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from moyin.data.filters.image_hash import COARSE, distance
from moyin.data.item import Item

DIGITS = COARSE * COARSE // 4  # leading hex digits of `phash` that hold the coarse hash
BANDS = 5  # parts of the coarse hash: if at most four bits differ, one part is equal
CACHE = 64 << 10  # KiB of the index that may be in memory


class Duplicates:
    """Drops exact copies, and near copies among images that were not rendered."""

    name = "duplicates"

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """near: how many of the fine hash's 256 bits may differ between near copies; -1 finds
        exact copies only."""

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
            create table images (pixel_hash text primary key, phash text, name text);
            create table bands (band int, value int, image int);
            create index band_values on bands (band, value);
            begin;
            """
        )

    def __call__(self, item: Item) -> Item:
        """The item, dropped if it is a copy of an earlier one; else it is added to the index."""
        pixel_hash, phash = str(item.values["pixel_hash"]), str(item.values["phash"])
        original = self._exact_copy(pixel_hash)
        if original:
            return item.drop(self.name, "exact copy", f"of {original}")
        if not item.rendered and self.config.near >= 0:
            nearest = self._nearest(phash)
            if nearest is not None:
                bits, name = nearest
                return item.drop(self.name, "near copy", f"of {name}, {bits} bits")
        self.add(pixel_hash, "" if item.rendered else phash, item.name)
        return item

    def add(self, pixel_hash: str, phash: str, name: str) -> None:
        """Add a kept image to the index. One without a phash has no near copies."""
        row = self._index.execute("insert into images values (?, ?, ?)", (pixel_hash, phash, name))
        if phash and self.config.near >= 0:
            rows = [(band, value, row.lastrowid) for band, value in _bands(phash)]
            self._index.executemany("insert into bands values (?, ?, ?)", rows)

    def close(self) -> None:
        self._index.close()
        self._folder.cleanup()

    def _exact_copy(self, pixel_hash: str) -> str:
        """The name of the image with these pixels; empty if there is none."""
        query = "select name from images where pixel_hash = ?"
        row = self._index.execute(query, (pixel_hash,)).fetchone()
        return str(row[0]) if row else ""

    def _nearest(self, phash: str) -> tuple[int, str] | None:
        """Different bits and name of the nearest image within `near` bits."""
        query = """select phash, name from bands join images on images.rowid = image
                   where band = ? and value = ?"""
        rows = (row for band in _bands(phash) for row in self._index.execute(query, band))
        distances = ((distance(phash[DIGITS:], other[DIGITS:]), name) for other, name in rows)
        return min((pair for pair in distances if pair[0] <= self.config.near), default=None)


def _bands(phash: str) -> Iterator[tuple[int, int]]:
    """Number and value of each of the five parts of the coarse hash."""
    bits = int(phash[:DIGITS], 16)
    width = -(-COARSE * COARSE // BANDS)
    for band in range(BANDS):
        yield band, (bits >> (band * width)) & ((1 << width) - 1)
