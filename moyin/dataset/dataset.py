"""A dataset of samples: one folder with one subfolder per column, each with its own shards.

    DATASET/dataset.json           format, recipe, and the kind and digest of every column
    DATASET/image/00000.arrow      PNG bytes
    DATASET/meta/00000.arrow       JSON: captions, lines, background, objects
    DATASET/tokens/00000.arrow     an array per row; added later without touching other columns
    DATASET/tokens.1/00000.arrow   its next version, which replaces it once complete
    DATASET/level/00000.arrow      a number or a text per row; fast to read as a whole

Shards are written atomically, so interrupted work resumes from the existing ones.
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

FORMAT = 2
HEADER = "dataset.json"
SHARD = 256  # rows
BUCKET = "bucket"  # column with the size of each image, WIDTHxHEIGHT, if there are several sizes
BASE = {"image": "png", "meta": "json"}  # the columns of every dataset


class Dataset:
    """Rows by number, columns by name. Use `Dataset.create` or `Dataset.open`."""

    def __init__(self, path: Path, header: dict[str, Any]) -> None:
        self.path, self.header = path, header
        self._bounds: dict[str, list[int]] = {}

    @classmethod
    def create(
        cls, path: Path | str, recipe: Mapping[str, Any], seed: int, count: int, digest: str
    ) -> Dataset:
        """A dataset for `count` samples, made by `recipe` from `seed`.

        digest: identifies everything that determines the images. An existing dataset is opened,
        and may grow. ValueError if it has another digest.
        """
        path = Path(path)
        columns = {n: asdict(Column(kind=kind, digest=digest)) for n, kind in BASE.items()}
        fields = {"recipe": dict(recipe), "seed": seed, "count": count, "columns": columns}
        exists = (path / HEADER).exists()
        dataset = cls.open(path) if exists else cls(path, {"format": FORMAT} | fields)
        dataset.column("image", digest)
        with dataset._changing() as header:
            header["count"] = max(count, header["count"])
        return dataset

    @classmethod
    def open(cls, path: Path | str) -> Dataset:
        """Open the dataset at `path`. ValueError if there is none, or if it has another format."""
        return cls(Path(path), _header(Path(path)))

    @property
    def parts(self) -> tuple[Dataset, ...]:
        """This dataset, as the only part of itself (`ConcatDataset.parts`)."""
        return (self,)

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of all columns, without the unfinished versions of columns being replaced."""
        return tuple(name for name in self.header["columns"] if "." not in name)

    def __len__(self) -> int:
        """Number of rows with both an image and metadata."""
        return min(self.rows_of(name) for name in BASE)

    def column(self, name: str, digest: str | None = None) -> Column:
        """A column's description. ValueError if it does not exist, or has another digest."""
        if name not in self.header["columns"]:
            names = ", ".join(self.columns)
            raise ValueError(f"{self.path} has no column {name!r}; it has {names}")
        column = Column.from_json(self.header["columns"][name])
        if digest not in (None, column.digest):
            raise ValueError(
                f"column {name!r} of {self.path} is stale: its digest is {column.digest[:12]}, "
                f"not {str(digest)[:12]}; drop it (Dataset.drop_column) or use another dataset"
            )
        return column

    def rows_of(self, name: str) -> int:
        """Number of complete rows of a column."""
        return self._starts(name)[-1]

    def size_of(self, name: str) -> int:
        """Size of a column on disk, in bytes."""
        files = self._folder(name, self.column(name)).glob("*.arrow")
        return sum(file.stat().st_size for file in files)

    def shard_rows(self, number: int, names: Sequence[str] = tuple(BASE)) -> int:
        """Number of rows of a shard that all these columns have; 0 if one lacks the shard."""
        paths = [self._shard(name, number) for name in names]
        return min(shards.count(path) for path in paths) if all(map(Path.exists, paths)) else 0

    @property
    def shard_count(self) -> int:
        """Number of complete shards of metadata."""
        return len(self._starts("meta")) - 1

    def shard(self, name: str, number: int) -> list[Any]:
        """A shard's rows as stored: encoded bytes, or scalars."""
        self.column(name)
        return list(shards.rows(self._shard(name, number)))

    def append(self, samples: Iterable[Sample]) -> None:
        """Write samples as further shards of 256 rows; the last may be shorter."""
        samples = iter(samples)
        for number in itertools.count(len(self._starts("meta")) - 1):
            rows = list(itertools.islice(samples, SHARD))
            if not rows:
                return
            self.write_shard(number, rows)

    def write_shard(self, number: int, samples: Sequence[Sample]) -> None:
        """Write or overwrite the images and metadata of one shard."""
        self.write_column("image", number, [sample.image for sample in samples])
        self.write_column("meta", number, [sample.to_json() for sample in samples])

    def add_column(self, name: str, digest: str, rows: Iterable[Any], kind: str = "array") -> None:
        """Add a column, or resume an unfinished one.

        rows: from row `rows_of(name)` of an unfinished column, else from row 0: arrays of one
        dtype and shape (`array`) or of any shape (`npy`), numbers (`float64`, `int64`), strings
        (`text`) or JSON values (`json`). ValueError for another digest, or for too few rows.
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
            count = bounds[number + 1] - bounds[number]
            values = list(itertools.islice(rows, count))
            if len(values) < count:
                raise ValueError(f"column {name!r} ends after {bounds[number] + len(values)} rows")
            self.write_column(name, number, values)

    def begin_column(self, name: str, column: Column) -> None:
        """Enter a column into the header, so that its shards can be written in any order.

        ValueError if the column exists with another digest.
        """
        if not name.isidentifier():
            raise ValueError(f"column {name!r}: a name consists of letters, digits and _")
        self._begin(name, column)

    def write_column(self, name: str, number: int, values: Sequence[Any]) -> None:
        """Write or overwrite one shard of a column that the header has."""
        column = self.column(name)
        stored = [column.encode(value) for value in values]
        shards.write(self._shard(name, number), stored, column.kind)
        self._bounds.clear()

    def replace_column(
        self, name: str, digest: str, rows: Iterable[Any], kind: str = "array"
    ) -> None:
        """Replace a column by other rows, from row 0 on, once all of them are written.

        Readers see the old rows until then. A process that opened the dataset before keeps reading
        them: their shards stay until the column is replaced again.
        """
        old = self.column(name)
        if name in BASE:
            raise ValueError(f"column {name!r} is required: it is not replaced or dropped")
        fresh = f"{name}.{old.version + 1}"
        self._forget(fresh)
        self.add_column(fresh, digest, rows, kind)
        with self._changing() as header:
            columns = header["columns"]
            columns[name] = columns.pop(fresh) | {"version": old.version + 1}
        self._bounds.clear()
        shutil.rmtree(self._folder(name, replace(old, version=old.version - 1)), ignore_errors=True)

    def drop_column(self, name: str) -> None:
        """Delete an added column, in all its versions."""
        column = self.column(name)
        if name in BASE:
            raise ValueError(f"column {name!r} is required: it is not replaced or dropped")
        self._forget(f"{name}.{column.version + 1}")
        self._forget(name)

    def values(self, name: str) -> Array:
        """A whole column of scalars: [rows] of float64, int64, or strings as objects."""
        column = self.column(name)
        if column.kind not in SCALARS:
            raise ValueError(f"column {name!r} of {self.path} holds {column.kind}, not scalars")
        numbers = range(len(self._starts(name)) - 1)
        parts = [shards.values(self._shard(name, number)) for number in numbers]
        kind = np.dtype(object if column.kind == "text" else column.kind)
        return np.concatenate([np.empty(0, kind), *parts])

    def read(self, names: Sequence[str], indices: Iterable[int]) -> list[dict[str, Any]]:
        """The rows with these numbers, each a dict of the decoded values of the named columns.

        IndexError if a column lacks a row.
        """
        columns = {name: self.column(name) for name in names}
        return [
            {name: column.decode(self._cell(name, index)) for name, column in columns.items()}
            for index in indices
        ]

    def sample(self, index: int) -> Sample:
        """Row `index` as a sample."""
        row = self.read(tuple(BASE), [index])[0]
        return Sample.from_json(row["meta"], row["image"])

    def digest(self) -> str:
        """SHA-256 over all rows of all columns; it does not depend on the shards."""
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
            raise IndexError(f"row {index} of column {name!r}, which has {bounds[-1]} rows")
        number = bisect.bisect_right(bounds, index) - 1
        return shards.row(self._shard(name, number), index - bounds[number])

    def _shard(self, name: str, number: int) -> Path:
        return self._folder(name, self.column(name)) / f"{number:05d}.arrow"

    def _folder(self, name: str, column: Column) -> Path:
        return self.path / (f"{name}.{column.version}" if column.version else name)

    def _starts(self, name: str) -> list[int]:
        """The first row of each complete shard, and the end of the last."""
        if name not in self._bounds:
            paths = (self._shard(name, number) for number in itertools.count())
            counts = [shards.count(path) for path in itertools.takewhile(Path.exists, paths)]
            if name not in BASE:
                counts = self._matching(counts)
            self._bounds[name] = [0, *itertools.accumulate(counts)]
        return self._bounds[name]

    def _matching(self, counts: list[int]) -> list[int]:
        """The leading shards with as many rows as the metadata's."""
        expected = np.diff(self._starts("meta")).tolist()
        pairs = zip(counts, expected, strict=False)
        return [count for count, _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs)]

    def _begin(self, name: str, column: Column) -> None:
        with self._changing() as header:
            existing = header["columns"].setdefault(name, asdict(column))
        if existing["digest"] != column.digest:
            self.column(name, column.digest)

    def _forget(self, name: str) -> None:
        """Remove a column from the header, then delete its folders."""
        with self._changing() as header:
            header["columns"].pop(name, None)
        for folder in (self.path / name, *self.path.glob(f"{name}.[0-9]*")):
            shutil.rmtree(folder, ignore_errors=True)
        self._bounds.clear()

    @contextmanager
    def _changing(self) -> Iterator[dict[str, Any]]:
        """The header as it is on disk now; it is written at the end. Locks out other processes."""
        self.path.mkdir(parents=True, exist_ok=True)
        with FileLock(self.path / f"{HEADER}.lock"):
            if (self.path / HEADER).exists():
                self.header = _header(self.path)
            yield self.header
            with replacing(self.path / HEADER) as file:
                file.write(json.dumps(self.header, ensure_ascii=False, indent=1).encode() + b"\n")


def _header(path: Path) -> dict[str, Any]:
    if (path / "store.json").exists():
        raise ValueError(f"{path} is a dataset of format 1 (store.json): prepare it again")
    try:
        header: dict[str, Any] = json.loads((path / HEADER).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"no readable dataset at {path}: make one with moyin prepare") from error
    if header.get("format") != FORMAT:
        raise ValueError(
            f"{path} has format {header.get('format')}; this version reads format {FORMAT}: "
            "prepare it again"
        )
    return header
