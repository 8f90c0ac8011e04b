"""A store of samples: one folder, columns side by side, each in Parquet shards of its own.

    STORE/store.json            format, what made it, and for every column its kind and digest
    STORE/picture/00000.parquet PNG bytes
    STORE/meta/00000.parquet    JSON: captions, lines, background, objects
    STORE/ids/00000.parquet     an array a row, added later without touching the rest
    STORE/sharpness/00000.parquet  a number or a text a row, which is fast to read whole

A shard that has its name is complete, so work that was cut short goes on from what is there.
"""

from __future__ import annotations

import bisect
import hashlib
import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from moyin.data import parquet
from moyin.data.column import SCALARS, Column
from moyin.data.sample import Sample

Array = np.ndarray[Any, Any]

FORMAT = 1
SHARD = 256  # rows a shard
BASE = {"picture": "png", "meta": "json"}


class Store:
    """Rows by number, columns by name. `Store.create` or `Store.open` makes one."""

    def __init__(self, path: Path, header: dict[str, Any]) -> None:
        self.path, self.header = path, header
        self._bounds: dict[str, list[int]] = {}

    @classmethod
    def create(
        cls, path: Path | str, recipe: Mapping[str, Any], seed: int, count: int, digest: str
    ) -> Store:
        """A store for `count` samples that `recipe` makes from `seed`; `digest` names that maker.

        One that is there already is opened, and may grow. ValueError if another maker made it.
        """
        path = Path(path)
        if (path / "store.json").exists():
            store = cls.open(path)
            store.column("picture", digest)
            store.header["count"] = max(count, store.header["count"])
        else:
            columns = {
                name: asdict(Column(kind=kind, digest=digest)) for name, kind in BASE.items()
            }
            made = {"recipe": dict(recipe), "seed": seed, "count": count, "columns": columns}
            store = cls(path, {"format": FORMAT} | made)
        store._save()
        return store

    @classmethod
    def open(cls, path: Path | str) -> Store:
        """The store at `path`; ValueError where there is none or its format is not known."""
        path = Path(path)
        try:
            header = json.loads((path / "store.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ValueError(f"no readable store at {path}: make one with moyin prepare") from error
        if header.get("format") != FORMAT:
            told = f"{path} has format {header.get('format')}, and {FORMAT} is what can be read"
            raise ValueError(f"{told}: prepare it again")
        return cls(path, header)

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of all columns."""
        return tuple(self.header["columns"])

    def __len__(self) -> int:
        """Rows that have both a picture and its description."""
        return min(self.rows_of(name) for name in BASE)

    def column(self, name: str, digest: str | None = None) -> Column:
        """What is known of a column; ValueError if it is not there or another maker made it."""
        if name not in self.header["columns"]:
            had = ", ".join(self.columns)
            raise ValueError(f"{self.path} has no column {name!r}; it has {had}")
        column = Column.from_json(self.header["columns"][name])
        if digest not in (None, column.digest):
            told = f"column {name!r} of {self.path} is stale: made by {column.digest[:12]}"
            raise ValueError(f"{told}, not by {str(digest)[:12]}; drop it or take another store")
        return column

    def rows_of(self, name: str) -> int:
        """How many rows of a column are complete."""
        return self._starts(name)[-1]

    def shard_rows(self, number: int, names: Sequence[str] = tuple(BASE)) -> int:
        """The rows of one shard that all these columns have; 0 if one has not got it."""
        paths = [self._shard(name, number) for name in names]
        return min(parquet.count(path) for path in paths) if all(map(Path.exists, paths)) else 0

    def append(self, samples: Iterable[Sample]) -> None:
        """Write samples as further shards of 256; the last may be short."""
        samples = iter(samples)
        for number in itertools.count(len(self._starts("meta")) - 1):
            rows = list(itertools.islice(samples, SHARD))
            if not rows:
                return
            self.write_shard(number, rows)

    def write_shard(self, number: int, samples: Sequence[Sample]) -> None:
        """Write (or replace) the pictures and descriptions of one shard."""
        self.write_column("picture", number, [sample.picture for sample in samples])
        self.write_column("meta", number, [sample.to_json() for sample in samples])

    def add_column(self, name: str, digest: str, rows: Iterable[Any], kind: str = "array") -> None:
        """Add a column, or go on with one that was cut short.

        `rows` starts at row `rows_of(name)` where the column has been begun, else at row 0: arrays
        of one dtype and shape, numbers (`float64`, `int64`), strings (`text`) or JSON's own types
        (`json`). ValueError if the column is another maker's, or if rows are too few.
        """
        rows = iter(rows)
        if name not in self.columns:
            first = next(rows, None)
            if first is None:
                raise ValueError(f"no rows for column {name!r}")
            rows = itertools.chain([first], rows)
            arrays = kind == "array"
            column = Column.of_arrays(first, digest) if arrays else Column(kind=kind, digest=digest)
            self.begin_column(name, column)
        self.column(name, digest)
        bounds = self._starts("meta")
        for number in range(len(self._starts(name)) - 1, len(bounds) - 1):
            wanted = bounds[number + 1] - bounds[number]
            values = list(itertools.islice(rows, wanted))
            if len(values) < wanted:
                raise ValueError(f"column {name!r} ends after {bounds[number] + len(values)} rows")
            self.write_column(name, number, values)

    def begin_column(self, name: str, column: Column) -> None:
        """Make a column known, so that its shards can be written, in any order.

        ValueError if there is one of this name from another maker.
        """
        if name in self.columns:
            self.column(name, column.digest)
        elif not name.isidentifier():
            raise ValueError(f"column {name!r}: a name has letters, digits and _ alone")
        else:
            self.header["columns"][name] = asdict(column)
            self._save()

    def write_column(self, name: str, number: int, values: Sequence[Any]) -> None:
        """Write (or replace) one shard of a column that has been begun."""
        column = self.column(name)
        stored = [column.encode(value) for value in values]
        parquet.write(self._shard(name, number), stored, column.kind)
        self._bounds.clear()

    def values(self, name: str) -> Array:
        """A column of scalars, whole: [rows] of float64, int64, or strings as objects."""
        column = self.column(name)
        if column.kind not in SCALARS:
            raise ValueError(f"column {name!r} of {self.path} holds {column.kind}, no scalars")
        shards = range(len(self._starts(name)) - 1)
        parts = [parquet.values(self._shard(name, number)) for number in shards]
        kind = np.dtype(object if column.kind == "text" else column.kind)
        return np.concatenate([np.empty(0, kind), *parts])

    def drop_column(self, name: str) -> None:
        """Delete a column that was added."""
        self.column(name)
        if name in BASE:
            raise ValueError(f"column {name!r} is what the store is made of")
        del self.header["columns"][name]
        self._save()
        for path in (self.path / name).glob("*.parquet"):
            path.unlink()
        self._bounds.clear()

    def read(self, names: Sequence[str], indices: Iterable[int]) -> list[dict[str, Any]]:
        """The rows of these numbers, each a dict of the named columns, decoded.

        IndexError where a column has no such row.
        """
        columns = {name: self.column(name) for name in names}
        return [
            {name: column.decode(self._cell(name, index)) for name, column in columns.items()}
            for index in indices
        ]

    def sample(self, index: int) -> Sample:
        """Row `index` as the sample that was stored."""
        row = self.read(tuple(BASE), [index])[0]
        return Sample.from_json(row["meta"], row["picture"])

    def digest(self) -> str:
        """SHA-256 over all rows of all columns, whatever the shards are."""
        total = hashlib.sha256()
        for name in sorted(self.columns):
            column = self.column(name)
            total.update(name.encode() + b"\0")
            for number in range(len(self._starts(name)) - 1):
                for content in map(column.content, parquet.rows(self._shard(name, number))):
                    total.update(len(content).to_bytes(8, "little") + content)
        return total.hexdigest()

    def _cell(self, name: str, index: int) -> Any:
        bounds = self._starts(name)
        if not 0 <= index < bounds[-1]:
            raise IndexError(f"row {index} of column {name!r}, which has {bounds[-1]}")
        number = bisect.bisect_right(bounds, index) - 1
        return parquet.row(self._shard(name, number), index - bounds[number])

    def _shard(self, name: str, number: int) -> Path:
        return self.path / name / f"{number:05d}.parquet"

    def _starts(self, name: str) -> list[int]:
        """The row at which each complete shard starts, and the end of the last."""
        if name not in self._bounds:
            paths = (self._shard(name, number) for number in itertools.count())
            counts = [parquet.count(path) for path in itertools.takewhile(Path.exists, paths)]
            if name not in BASE:
                counts = self._matching(counts)
            self._bounds[name] = [0, *itertools.accumulate(counts)]
        return self._bounds[name]

    def _matching(self, counts: list[int]) -> list[int]:
        """The leading shards as long as the descriptions': a store that grew has a longer last."""
        wanted = np.diff(self._starts("meta")).tolist()
        pairs = zip(counts, wanted, strict=False)
        return [count for count, _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs)]

    def _save(self) -> None:
        with parquet.replacing(self.path / "store.json") as file:
            file.write(json.dumps(self.header, ensure_ascii=False, indent=1).encode() + b"\n")
