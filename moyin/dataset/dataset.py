"""A dataset of samples: one folder, columns side by side, each in shards of its own.

    DATASET/dataset.json           format, what made it, and for every column its kind and digest
    DATASET/image/00000.arrow  PNG bytes
    DATASET/meta/00000.arrow     JSON: captions, lines, background, objects
    DATASET/ids/00000.arrow      an array a row, added later without touching the rest
    DATASET/ids.1/00000.arrow    its next version, made beside it, which then takes its place
    DATASET/level/00000.arrow    a number or a text a row, which is fast to read whole

A shard that has its name is complete, so work that was cut short goes on from what is there.
"""

from __future__ import annotations

import bisect
import hashlib
import itertools
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from moyin.dataset import shards
from moyin.dataset.atomic_file import replacing
from moyin.dataset.column import SCALARS, Column
from moyin.dataset.sample import Sample

Array = np.ndarray[Any, Any]

FORMAT = 1
SHARD = 256  # rows a shard
BUCKET = "bucket"  # the column that says HEIGHTxWIDTH where images are of several sizes
BASE = {"image": "png", "meta": "json"}


class Dataset:
    """Rows by number, columns by name. `Dataset.create` or `Dataset.open` makes one."""

    def __init__(self, path: Path, header: dict[str, Any]) -> None:
        self.path, self.header = path, header
        self._bounds: dict[str, list[int]] = {}

    @classmethod
    def create(
        cls, path: Path | str, recipe: Mapping[str, Any], seed: int, count: int, digest: str
    ) -> Dataset:
        """A dataset for `count` samples that `recipe` makes from `seed`; `digest` names that maker.

        One that is there already is opened, and may grow. ValueError if another maker made it.
        """
        path = Path(path)
        columns = {n: asdict(Column(kind=kind, digest=digest)) for n, kind in BASE.items()}
        made = {"recipe": dict(recipe), "seed": seed, "count": count, "columns": columns}
        there = (path / "dataset.json").exists()
        dataset = cls.open(path) if there else cls(path, {"format": FORMAT} | made)
        dataset.column("image", digest)
        with dataset._changing() as header:
            header["count"] = max(count, header["count"])
        return dataset

    @classmethod
    def open(cls, path: Path | str) -> Dataset:
        """The dataset at `path`; ValueError where there is none or its format is not known."""
        return cls(Path(path), _header(Path(path)))

    @property
    def parts(self) -> tuple[Dataset, ...]:
        """The datasets that are read as this one: itself."""
        return (self,)

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of all columns; one that is being replaced stands there once, as it was."""
        return tuple(name for name in self.header["columns"] if "." not in name)

    def __len__(self) -> int:
        """Rows that have both an image and its description."""
        return min(self.rows_of(name) for name in BASE)

    def column(self, name: str, digest: str | None = None) -> Column:
        """What is known of a column; ValueError if it is not there or another maker made it."""
        if name not in self.header["columns"]:
            had = ", ".join(self.columns)
            raise ValueError(f"{self.path} has no column {name!r}; it has {had}")
        column = Column.from_json(self.header["columns"][name])
        if digest not in (None, column.digest):
            told = f"column {name!r} of {self.path} is stale: made by {column.digest[:12]}"
            told += f", not by {str(digest)[:12]}"
            raise ValueError(f"{told}; drop it (Dataset.drop_column) or take another dataset")
        return column

    def rows_of(self, name: str) -> int:
        """How many rows of a column are complete."""
        return self._starts(name)[-1]

    def size_of(self, name: str) -> int:
        """Bytes of a column on the disk."""
        files = self._folder(name, self.column(name)).glob("*.arrow")
        return sum(file.stat().st_size for file in files)

    def shard_rows(self, number: int, names: Sequence[str] = tuple(BASE)) -> int:
        """The rows of one shard that all these columns have; 0 if one has not got it."""
        paths = [self._shard(name, number) for name in names]
        return min(shards.count(path) for path in paths) if all(map(Path.exists, paths)) else 0

    @property
    def shard_count(self) -> int:
        """How many shards of descriptions are complete."""
        return len(self._starts("meta")) - 1

    def shard(self, name: str, number: int) -> list[Any]:
        """A shard's rows as they are stored: bytes, or scalars. Images stay encoded."""
        self.column(name)
        return list(shards.rows(self._shard(name, number)))

    def append(self, samples: Iterable[Sample]) -> None:
        """Write samples as further shards of 256; the last may be short."""
        samples = iter(samples)
        for number in itertools.count(len(self._starts("meta")) - 1):
            rows = list(itertools.islice(samples, SHARD))
            if not rows:
                return
            self.write_shard(number, rows)

    def write_shard(self, number: int, samples: Sequence[Sample]) -> None:
        """Write (or replace) the images and descriptions of one shard."""
        self.write_column("image", number, [sample.image for sample in samples])
        self.write_column("meta", number, [sample.to_json() for sample in samples])

    def add_column(self, name: str, digest: str, rows: Iterable[Any], kind: str = "array") -> None:
        """Add a column, or go on with one that was cut short.

        `rows` starts at row `rows_of(name)` where the column has been begun, else at row 0: arrays
        of one dtype and shape, numbers (`float64`, `int64`), strings (`text`) or JSON's own types
        (`json`). ValueError if the column is another maker's, or if rows are too few.
        """
        rows = iter(rows)
        if name not in self.header["columns"]:
            first = next(rows, None)
            if first is None:
                raise ValueError(f"no rows for column {name!r}")
            rows = itertools.chain([first], rows)
            arrays = kind == "array"
            column = Column.of_arrays(first, digest) if arrays else Column(kind=kind, digest=digest)
            self._begin(name, column)
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
        if not name.isidentifier():
            raise ValueError(f"column {name!r}: a name has letters, digits and _ alone")
        self._begin(name, column)

    def write_column(self, name: str, number: int, values: Sequence[Any]) -> None:
        """Write (or replace) one shard of a column that has been begun."""
        column = self.column(name)
        stored = [column.encode(value) for value in values]
        shards.write(self._shard(name, number), stored, column.kind)
        self._bounds.clear()

    def replace_column(
        self, name: str, digest: str, rows: Iterable[Any], kind: str = "array"
    ) -> None:
        """Put another maker's rows, from row 0 on, in a column's place once all are written.

        Until then everybody reads the old ones, and who opened the dataset before goes on to: their
        shards stay until the column is replaced again.
        """
        old = self.column(name)
        if name in BASE:
            raise ValueError(f"column {name!r} is what the dataset is made of")
        fresh = f"{name}.{old.version + 1}"
        self._forget(fresh)
        self.add_column(fresh, digest, rows, kind)
        with self._changing() as header:
            columns = header["columns"]
            columns[name] = columns.pop(fresh) | {"version": old.version + 1}
        self._bounds.clear()
        shutil.rmtree(self._folder(name, replace(old, version=old.version - 1)), ignore_errors=True)

    def drop_column(self, name: str) -> None:
        """Delete a column that was added, whatever its version."""
        column = self.column(name)
        if name in BASE:
            raise ValueError(f"column {name!r} is what the dataset is made of")
        self._forget(f"{name}.{column.version + 1}")
        self._forget(name)

    def values(self, name: str) -> Array:
        """A column of scalars, whole: [rows] of float64, int64, or strings as objects."""
        column = self.column(name)
        if column.kind not in SCALARS:
            raise ValueError(f"column {name!r} of {self.path} holds {column.kind}, no scalars")
        numbers = range(len(self._starts(name)) - 1)
        parts = [shards.values(self._shard(name, number)) for number in numbers]
        kind = np.dtype(object if column.kind == "text" else column.kind)
        return np.concatenate([np.empty(0, kind), *parts])

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
        return Sample.from_json(row["meta"], row["image"])

    def digest(self) -> str:
        """SHA-256 over all rows of all columns, whatever the shards are."""
        total = hashlib.sha256()
        for name in sorted(self.columns):
            column = self.column(name)
            total.update(name.encode() + b"\0")
            for number in range(len(self._starts(name)) - 1):
                for content in map(column.content, shards.rows(self._shard(name, number))):
                    total.update(len(content).to_bytes(8, "little") + content)
        return total.hexdigest()

    def _cell(self, name: str, index: int) -> Any:
        bounds = self._starts(name)
        if not 0 <= index < bounds[-1]:
            raise IndexError(f"row {index} of column {name!r}, which has {bounds[-1]}")
        number = bisect.bisect_right(bounds, index) - 1
        return shards.row(self._shard(name, number), index - bounds[number])

    def _shard(self, name: str, number: int) -> Path:
        return self._folder(name, self.column(name)) / f"{number:05d}.arrow"

    def _folder(self, name: str, column: Column) -> Path:
        return self.path / (f"{name}.{column.version}" if column.version else name)

    def _starts(self, name: str) -> list[int]:
        """The row at which each complete shard starts, and the end of the last."""
        if name not in self._bounds:
            paths = (self._shard(name, number) for number in itertools.count())
            counts = [shards.count(path) for path in itertools.takewhile(Path.exists, paths)]
            if name not in BASE:
                counts = self._matching(counts)
            self._bounds[name] = [0, *itertools.accumulate(counts)]
        return self._bounds[name]

    def _matching(self, counts: list[int]) -> list[int]:
        """The leading shards as long as the descriptions', but for the last."""
        wanted = np.diff(self._starts("meta")).tolist()
        pairs = zip(counts, wanted, strict=False)
        return [count for count, _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs)]

    def _begin(self, name: str, column: Column) -> None:
        with self._changing() as header:
            known = header["columns"].setdefault(name, asdict(column))
        if known["digest"] != column.digest:
            self.column(name, column.digest)

    def _forget(self, name: str) -> None:
        """Take a column out of the header, and then its folders away."""
        with self._changing() as header:
            header["columns"].pop(name, None)
        for folder in (self.path / name, *self.path.glob(f"{name}.[0-9]*")):
            shutil.rmtree(folder, ignore_errors=True)
        self._bounds.clear()

    @contextmanager
    def _changing(self) -> Iterator[dict[str, Any]]:
        """The header as it is on the disk now, written again at the end; one process at a time."""
        self.path.mkdir(parents=True, exist_ok=True)
        with FileLock(self.path / "dataset.json.lock"):
            if (self.path / "dataset.json").exists():
                self.header = _header(self.path)
            yield self.header
            with replacing(self.path / "dataset.json") as file:
                file.write(json.dumps(self.header, ensure_ascii=False, indent=1).encode() + b"\n")


def _header(path: Path) -> dict[str, Any]:
    try:
        header: dict[str, Any] = json.loads((path / "dataset.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"no readable dataset at {path}: make one with moyin prepare") from error
    if header.get("format") != FORMAT:
        told = f"{path} has format {header.get('format')}, and {FORMAT} is what can be read"
        raise ValueError(f"{told}: prepare it again")
    return header
