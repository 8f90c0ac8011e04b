"""Tables of images: Parquet and Arrow files, as Hugging Face's datasets keep them.

An image is in a column of bytes, or of {bytes, path} as in `datasets`, or is named by a path
below the table's folder.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from moyin.data.item import Item, source_item
from moyin.data.readers import MAX_BYTES, PARTITION, Partition, captions, listing
from moyin.data.readers.files import Faults
from moyin.data.readers.listing import Entry

IMAGES = ("image", "picture", "img", "jpg", "jpeg", "png", "webp", "bytes", "image_bytes")
PATHS = ("file_name", "image_path", "picture_path", "path", "file", "filename", *IMAGES)
BROKEN = (pa.ArrowException, OSError, ValueError)


@dataclass(frozen=True)
class Rows:
    """Rows `first` to `last` - 1 of one row group (Parquet) or record batch (Arrow)."""

    root: Path
    table: str
    group: int
    first: int
    last: int

    def read(self) -> Iterator[Item]:
        folder = (self.root / self.table).parent
        try:
            for number, row in enumerate(self._rows(), self.first):
                yield row_item(self.root, folder, f"{self.table}:{self.group}:{number}", row)
        except BROKEN as error:
            key = f"{self.table}:{self.group}"
            yield source_item(self.root.name, key, fault=f"damaged table: {error}")

    def _rows(self) -> list[dict[str, Any]]:
        path = self.root / self.table
        if path.suffix == ".arrow":
            with pa.memory_map(str(path)) as file:
                batch = _batch(file, self.group)
                names = columns(batch.schema)
                selected = batch.slice(self.first, self.last - self.first).select(names)
                rows: list[dict[str, Any]] = selected.to_pylist()
                return rows
        with pq.ParquetFile(path, memory_map=True) as file:
            names = columns(file.schema_arrow)
            batches = file.iter_batches(PARTITION, row_groups=[self.group], columns=names)
            return next(b.to_pylist() for i, b in enumerate(batches) if i * PARTITION == self.first)


def parquet_partitions(root: Path, name: str) -> Iterator[Partition]:
    """The rows of a Parquet file, 64 per partition."""
    try:
        with pq.ParquetFile(root / name, memory_map=True) as file:
            columns(file.schema_arrow)
            sizes = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
    except BROKEN as error:
        yield _damaged(root, name, error)
        return
    for group, rows in enumerate(sizes):
        yield from _row_partitions(root, name, group, rows)


def arrow_partitions(root: Path, name: str) -> Iterator[Partition]:
    """The rows of an Arrow file or stream, 64 per partition."""
    try:
        with pa.memory_map(str(root / name)) as file:
            for group, batch in enumerate(_batches(file)):
                columns(batch.schema)
                yield from _row_partitions(root, name, group, batch.num_rows)
    except BROKEN as error:
        yield _damaged(root, name, error)


def names_files(path: Path) -> bool:
    """Whether this is a table whose rows hold paths of images instead of images."""
    try:
        if path.suffix.lower() == ".parquet":
            schema = pq.read_schema(path, memory_map=True)
        elif path.suffix.lower() != ".arrow":
            return False
        else:
            with pa.memory_map(str(path)) as file:
                schema = next(_batches(file)).schema
        kind = schema.field(columns(schema)[0]).type
    except (*BROKEN, StopIteration):
        return False
    return _is_text(kind)


def _row_partitions(root: Path, name: str, group: int, rows: int) -> Iterator[Partition]:
    for first in range(0, rows, PARTITION):
        yield Rows(root, name, group, first, min(first + PARTITION, rows))


def _damaged(root: Path, name: str, error: Exception) -> Partition:
    return Faults(root.name, (Entry(name, f"damaged table, or one without images: {error}"),))


def _batches(file: Any) -> Iterator[pa.RecordBatch]:
    """The record batches of a memory-mapped file, as views of it."""
    try:
        reader = pa.ipc.open_file(file)
    except pa.ArrowInvalid:
        file.seek(0)
        yield from pa.ipc.open_stream(file)
        return
    for number in range(reader.num_record_batches):
        yield reader.get_batch(number)


def _batch(file: Any, number: int) -> pa.RecordBatch:
    return next(batch for i, batch in enumerate(_batches(file)) if i == number)


def columns(schema: pa.Schema) -> list[str]:
    """The columns to read, the images first. ValueError if no column holds images."""
    images = [name for name in schema.names if _holds_images(name, schema.field(name).type)]
    if not images:
        raise ValueError(f"no column of images in {', '.join(schema.names)}")
    texts = [n for n in schema.names if captions.is_caption_field(n) and n not in images]
    return [images[0], *texts]


def _holds_images(name: str, kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return bool(kind.get_field_index("bytes") >= 0)
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return name.lower() in IMAGES
    return _is_text(kind) and name.lower() in PATHS


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def row_item(root: Path, folder: Path, key: str, row: Mapping[str, Any]) -> Item:
    """The item of a row of a table in `folder`. The first column is the image, the others are
    captions."""
    image, *_ = row.values()
    content, path = image, None
    if isinstance(image, Mapping):
        content, path = image.get("bytes"), image.get("path")
    elif isinstance(image, str):
        content, path = None, image
    try:
        if not content and path:
            content = listing.load(listing.inside(folder, path), MAX_BYTES)
        if not content:
            raise ValueError("row without an image")
        if len(content) > MAX_BYTES:
            raise ValueError(f"file too large: more than {MAX_BYTES >> 20} MiB")
    except ValueError as error:
        return source_item(root.name, key, fault=str(error))
    return source_item(root.name, key, content, captions.from_fields(row))
