"""Export datasets as WebDataset tar, Parquet or MindRecord files, and import them again.

    OUT/_columns.json    the dataset's header, which the import needs
    OUT/00000.tar        00000000.png, 00000000.json, 00000000.tokens.npy, 00000000.values.json, …
    OUT/00000.parquet    the same as columns: image, meta, tokens, level, …
    OUT/00000.mindrecord the same; needs MindSpore as the backend

Images are encoded, arrays are the content of a .npy file, and JSON is text.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from moyin.dataset.atomic_file import replacing
from moyin.dataset.column import SCALARS, Column
from moyin.dataset.dataset import BASE, Dataset
from moyin.dataset.progress import OnProgress, ignore, track

HEADER = "_columns.json"  # Parquet readers skip names that begin with an underscore
VALUES = "values.json"  # all scalars of a row in one file of a tar
SUFFIXES = {"png": "png", "json": "json", "array": "npy", "npy": "npy"}
RECORDS = {"json": "string", "text": "string", "int64": "int64", "float64": "float64"}
GROUP = 16  # rows of a Parquet row group: images are large

Columns = dict[str, Column]
Row = dict[str, Any]
Stored = dict[str, list[Any]]  # the encoded rows of a shard, by column


def export_dataset(path: Path, out: Path, kind: str, on_progress: OnProgress = ignore) -> Path:
    """Write the dataset as `webdataset`, `parquet` or `mindrecord`, or resume such an export.

    ValueError if `out` holds another export, if a column of the dataset is incomplete, or for
    MindRecord without MindSpore.
    """
    if kind not in FILES:
        raise ValueError(f"the format must be one of {', '.join(FILES)}, not {kind}")
    suffix, write, _ = FILES[kind]
    dataset = Dataset.open(path)
    columns = {name: dataset.column(name) for name in dataset.columns}
    for name in columns:
        if dataset.rows_of(name) != len(dataset):
            rows = f"{dataset.rows_of(name)} of {len(dataset)} rows"
            raise ValueError(f"column {name!r} of {path} has {rows}: complete or drop it first")
    _begin(out, {"kind": kind, "shards": dataset.shard_count, "dataset": dataset.header})
    first = 0
    count = dataset.shard_count
    for number in track(range(count), "export", count, on_progress):
        file = out / f"{number:05d}{suffix}"
        if not file.exists():
            stored = {name: dataset.shard(name, number) for name in columns}
            write(file, columns, stored, first)
        first += dataset.shard_rows(number)
    return out


def import_dataset(path: Path, out: Path, on_progress: OnProgress = ignore) -> Dataset:
    """Recreate the dataset that was exported to `path`, or resume an interrupted import.

    ValueError if `path` is no export, a file of it is damaged, or `out` is another dataset.
    """
    try:
        header = json.loads((path / HEADER).read_text(encoding="utf-8"))
        fields, (suffix, _, read) = header["dataset"], FILES[header["kind"]]
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(
            f"{path} holds no {HEADER} of an exported dataset; moyin prepare reads other images"
        ) from error
    columns = {name: Column.from_json(fields["columns"][name]) for name in fields["columns"]}
    digest = columns["image"].digest
    dataset = Dataset.create(out, fields["recipe"], fields["seed"], fields["count"], digest)
    for name in columns.keys() - BASE.keys():
        dataset.begin_column(name, columns[name])
    for number in track(range(header["shards"]), "import", header["shards"], on_progress):
        file = path / f"{number:05d}{suffix}"
        if dataset.shard_rows(number, tuple(columns)):
            continue
        try:
            rows = [_row(columns, row) for row in read(file, columns)]
        except (OSError, ValueError, KeyError, tarfile.TarError) as error:
            raise ValueError(f"{file} cannot be read ({error}): export it again") from error
        for name in columns:
            dataset.write_column(name, number, [row[name] for row in rows])
    return dataset


def _begin(out: Path, header: dict[str, Any]) -> None:
    text = json.dumps(header, ensure_ascii=False, indent=1)
    path = out / HEADER
    if path.exists() and path.read_text(encoding="utf-8") != text:
        raise ValueError(
            f"{out} holds an export of another dataset, or of another state of this one"
        )
    with replacing(path) as file:
        file.write(text.encode())


def _row(columns: Columns, row: Row) -> Row:
    """The row of a dataset, from the row of a file."""
    return {name: _value(column, row[name]) for name, column in columns.items()}


def _value(column: Column, content: Any) -> Any:
    if column.kind == "json":
        return json.loads(content)
    if column.kind in ("array", "npy"):
        return np.load(io.BytesIO(content), allow_pickle=False)
    return content


def _portable(column: Column, stored: Any) -> Any:
    """An encoded row in a form that other programs read."""
    if column.kind != "array":
        return stored
    content = io.BytesIO()
    np.save(content, column.decode(stored), allow_pickle=False)
    return content.getvalue()


def _write_tar(path: Path, columns: Columns, stored: Stored, first: int) -> None:
    with replacing(path) as file, tarfile.open(fileobj=file, mode="w") as tar:
        for number in range(len(stored["meta"])):
            values = {n: stored[n][number] for n, c in columns.items() if c.kind in SCALARS}
            row = {
                _suffix(name, column): _portable(column, stored[name][number])
                for name, column in columns.items()
                if name not in values
            }
            row[VALUES] = json.dumps(values, ensure_ascii=False).encode()
            for suffix, content in row.items():
                member = tarfile.TarInfo(f"{first + number:08d}.{suffix}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))


def _read_tar(path: Path, columns: Columns) -> Iterator[Row]:
    suffixes = {_suffix(name, c): name for name, c in columns.items() if c.kind not in SCALARS}
    rows: dict[str, Row] = {}
    with tarfile.open(path) as tar:
        for member in tar:
            key, _, suffix = member.name.partition(".")
            file = tar.extractfile(member)
            content = file.read() if file is not None else b""
            cells = json.loads(content) if suffix == VALUES else {suffixes[suffix]: content}
            rows.setdefault(key, {}).update(cells)
    return iter(rows.values())


def _suffix(name: str, column: Column) -> str:
    """The suffix of a member; `image` and `meta` have none but the type, as WebDataset expects."""
    suffix = SUFFIXES[column.kind]
    return suffix if name in BASE else f"{name}.{suffix}"


def _write_parquet(path: Path, columns: Columns, stored: Stored, first: int) -> None:
    kinds = {"json": pa.string(), "text": pa.string(), "int64": pa.int64(), "float64": pa.float64()}
    arrays = {
        name: pa.array(
            [_portable(column, value) for value in stored[name]],
            kinds.get(column.kind, pa.binary()),
        )
        for name, column in columns.items()
    }
    with replacing(path) as file:
        pq.write_table(pa.table(arrays), file, row_group_size=GROUP, compression="none")


def _read_parquet(path: Path, columns: Columns) -> Iterator[Row]:
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(GROUP, columns=list(columns)):
            yield from batch.to_pylist()


def _write_records(path: Path, columns: Columns, stored: Stored, first: int) -> None:
    from moyin.backend import io as backend

    kinds = {name: RECORDS.get(column.kind, "bytes") for name, column in columns.items()}
    rows = [
        {
            name: value.decode() if column.kind == "json" else value
            for name, column in columns.items()
            for value in [_portable(column, stored[name][number])]
        }
        for number in range(len(stored["meta"]))
    ]
    backend.write_records(path, kinds, rows)


def _read_records(path: Path, columns: Columns) -> Iterator[Row]:
    from moyin.backend import io as backend

    _, count = backend.record_kinds(path)
    return backend.read_records(path, list(columns), 0, count)


Write = Callable[[Path, Columns, Stored, int], None]
Read = Callable[[Path, Columns], Iterator[Row]]
FILES: dict[str, tuple[str, Write, Read]] = {
    "webdataset": (".tar", _write_tar, _read_tar),
    "parquet": (".parquet", _write_parquet, _read_parquet),
    "mindrecord": (".mindrecord", _write_records, _read_records),
}
