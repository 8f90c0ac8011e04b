"""Folders of files: images with captions in sidecar files, and archives of the known formats.

A caption is in a file with the image's name and the suffix .txt or .json, or in a table whose rows
name the folder's images: a `metadata.jsonl`, as in Hugging Face's image folders, Parquet or
Arrow. Images next to or below such a table that it does not name are skipped.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from moyin.data.item import Item, source_item
from moyin.data.readers import MAX_BYTES, PARTITION, Partition, captions, listing

TABLE = "metadata.jsonl"
SIDECARS = (".txt", ".json")  # suffixes of files with an image's captions
MAX_CAPTION_BYTES = 2**22  # of a caption file, or of a line of a table
INDEX = ".mindrecord.db"  # suffix of the index of a MindRecord file, which holds no images
METADATA = (
    "README.md",
    "dataset_info.json",
    "dataset_infos.json",
    "dataset_dict.json",
    "state.json",
)  # files of Hugging Face's datasets that hold no images


@dataclass(frozen=True)
class Faults:
    """Files that cannot be read as images."""

    source: str
    entries: tuple[listing.Entry, ...]

    def read(self) -> Iterator[Item]:
        return (source_item(self.source, e.name, fault=e.fault) for e in self.entries)


@dataclass(frozen=True)
class Images:
    """Files below `root`, which may be images."""

    root: Path
    names: tuple[str, ...]

    def read(self) -> Iterator[Item]:
        for name in self.names:
            yield image_item(
                self.root,
                name,
                lambda path: captions.sidecar_captions(path, SIDECARS, MAX_CAPTION_BYTES),
            )


@dataclass(frozen=True)
class Lines:
    """Lines of a metadata.jsonl, from byte `first` to byte `last`."""

    root: Path
    table: str
    first: int
    last: int

    def read(self) -> Iterator[Item]:
        folder = self.root / PurePosixPath(self.table).parent
        with (self.root / self.table).open("rb") as file:
            file.seek(self.first)
            while (at := file.tell()) < self.last:
                line = file.readline(MAX_CAPTION_BYTES)
                yield self._item(folder, line, f"{self.table}:{at}")

    def _item(self, folder: Path, line: bytes, key: str) -> Item:
        try:
            row = json.loads(line)
            path = listing.inside(folder, row["file_name"])
        except (KeyError, TypeError, RecursionError):
            return source_item(self.root.name, key, fault="row without file_name")
        except ValueError as error:
            invalid = isinstance(error, json.JSONDecodeError | UnicodeDecodeError)
            fault = f"row is not JSON: {error}" if invalid else str(error)
            return source_item(self.root.name, key, fault=fault)
        name = path.relative_to(self.root.resolve()).as_posix()
        return image_item(self.root, name, lambda _: captions.from_fields(row))


def image_item(root: Path, name: str, captions_of: Callable[[Path], tuple[str, ...]]) -> Item:
    """The item of one file; one that cannot be read is dropped."""
    try:
        content = listing.load(root / name, MAX_BYTES)
        return source_item(root.name, name, content, captions_of(root / name))
    except ValueError as error:
        return source_item(root.name, name, fault=str(error))


def partitions(path: Path) -> Iterator[Partition]:
    """All partitions of a folder, or of one file."""
    root = path if path.is_dir() else path.parent
    pending: list[str] = []
    for entry in _entries(path):
        special = _special(root, entry)
        if special is None:
            pending.append(entry.name)
        if pending and (special is not None or len(pending) == PARTITION):
            yield Images(root, tuple(pending))
            pending = []
        if special is not None:
            yield from special
    if pending:
        yield Images(root, tuple(pending))


def _entries(path: Path) -> Iterator[listing.Entry]:
    """The files to read: all but sidecars, files that a table may name, indexes and METADATA."""
    if not path.is_dir():
        yield listing.Entry(path.name)
        return
    names_files = functools.cache(_has_table)
    folder, in_table = "", names_files(path)
    for entry in listing.list_files(path):
        name = PurePosixPath(entry.name)
        if str(name.parent) != folder:
            folder = str(name.parent)
            in_table = any(names_files(path / parent) for parent in name.parents)
        named = in_table and name.name != TABLE and name.suffix.lower() not in _readers()
        sidecar = captions.is_sidecar(path / name, SIDECARS) or entry.name.endswith(INDEX)
        if entry.fault or not (named or sidecar or name.name in METADATA):
            yield entry


def _has_table(folder: Path) -> bool:
    """Whether a table in the folder names image files."""
    from moyin.data.readers import tables

    try:
        with os.scandir(folder) as entries:
            files = (e for e in entries if e.is_file(follow_symlinks=False) and e.name[0] != ".")
            return any(e.name == TABLE or tables.names_files(Path(e.path)) for e in files)
    except OSError:
        return False  # `list_files` reports the error


def _special(root: Path, entry: listing.Entry) -> Iterator[Partition] | None:
    """The partitions of an archive, a table or a fault; None for what may be an image."""
    if entry.fault:
        return iter([Faults(root.name, (entry,))])
    name = PurePosixPath(entry.name)
    if name.name == TABLE:
        return _lines(root, entry.name)
    reader = _readers().get(name.suffix.lower())
    return reader(root, entry.name) if reader else None


def _lines(root: Path, table: str) -> Iterator[Partition]:
    with (root / table).open("rb") as file:
        first, count = 0, 0
        while file.readline(MAX_CAPTION_BYTES):
            count += 1
            if count % PARTITION == 0:
                yield Lines(root, table, first, file.tell())
                first = file.tell()
        if file.tell() > first:
            yield Lines(root, table, first, file.tell())


def _readers() -> dict[str, Callable[[Path, str], Iterator[Partition]]]:
    from moyin.data.readers import records, tables, tars

    return {
        records.SUFFIX: records.partitions,
        ".tar": tars.partitions,
        ".parquet": tables.parquet_partitions,
        ".arrow": tables.arrow_partitions,
    }
