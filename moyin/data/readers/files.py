"""Folders of files: images with their captions beside them, and archives of any known kind.

A caption stands in a file of the image's name that ends in .txt or .json, or in a table whose
rows name the folder's images: a `metadata.jsonl`, as Hugging Face's image folders have it,
Parquet or Arrow. Other images beside such a table and below it are left out.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from moyin.data.item import Item, found
from moyin.data.readers import LARGEST, SHARE, Share, captions, walk

TABLE = "metadata.jsonl"
BESIDE = (".txt", ".json")  # what holds the captions of the image beside it
LONGEST = 2**22  # bytes of a file or a line with captions
INDEX = ".mindrecord.db"  # what stands beside a MindRecord file and holds no images
ABOUT = ("README.md", "dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json")


@dataclass(frozen=True)
class Faults:
    """What was found instead of images."""

    source: str
    entries: tuple[walk.Entry, ...]

    def read(self) -> Iterator[Item]:
        return (found(self.source, e.name, fault=e.fault) for e in self.entries)


@dataclass(frozen=True)
class Images:
    """Files below `root`, each an image or, as it turns out, none."""

    root: Path
    names: tuple[str, ...]

    def read(self) -> Iterator[Item]:
        for name in self.names:
            yield image(self.root, name, lambda path: captions.beside(path, BESIDE, LONGEST))


@dataclass(frozen=True)
class Rows:
    """Lines of a table of images, by their bytes in it."""

    root: Path
    table: str
    first: int
    last: int

    def read(self) -> Iterator[Item]:
        folder = self.root / PurePosixPath(self.table).parent
        with (self.root / self.table).open("rb") as file:
            file.seek(self.first)
            while (at := file.tell()) < self.last:
                line = file.readline(LONGEST)
                yield self._item(folder, line, f"{self.table}:{at}")

    def _item(self, folder: Path, line: bytes, key: str) -> Item:
        try:
            row = json.loads(line)
            name = row["file_name"]
            path = walk.inside(folder, name)
        except (KeyError, TypeError, RecursionError):
            return found(self.root.name, key, fault="row without file_name")
        except ValueError as error:
            known = isinstance(error, json.JSONDecodeError | UnicodeDecodeError)
            fault = f"row is no JSON: {error}" if known else str(error)
            return found(self.root.name, key, fault=fault)
        said = captions.of_fields(row)
        return image(self.root, path.relative_to(self.root.resolve()).as_posix(), lambda _: said)


def image(root: Path, name: str, said: Callable[[Path], tuple[str, ...]]) -> Item:
    """One file as an item; what keeps it from being read is its fault."""
    try:
        content = walk.load(root / name, LARGEST)
        return found(root.name, name, content, said(root / name))
    except ValueError as error:
        return found(root.name, name, fault=str(error))


def shares(path: Path) -> Iterator[Share]:
    """All shares of a folder, or of the one file that `path` is."""
    root = path if path.is_dir() else path.parent
    pending: list[str] = []
    for entry in _entries(path):
        special = _special(root, entry)
        if special is None:
            pending.append(entry.name)
        if pending and (special is not None or len(pending) == SHARE):
            yield Images(root, tuple(pending))
            pending = []
        if special is not None:
            yield from special
    if pending:
        yield Images(root, tuple(pending))


def _entries(path: Path) -> Iterator[walk.Entry]:
    """The files to look at: not those beside an image or a table, nor those that a table names,
    nor what Hugging Face's datasets say about themselves."""
    if not path.is_dir():
        yield walk.Entry(path.name)
        return
    names_files = functools.cache(_names_files)
    folder, tabled = "", names_files(path)
    for entry in walk.walk(path):
        name = PurePosixPath(entry.name)
        if str(name.parent) != folder:
            folder = str(name.parent)
            tabled = any(names_files(path / above) for above in name.parents)
        named = tabled and name.name != TABLE and name.suffix.lower() not in _readers()
        beside = captions.belongs(path / name, BESIDE) or entry.name.endswith(INDEX)
        if entry.fault or not (named or beside or name.name in ABOUT):
            yield entry


def _names_files(folder: Path) -> bool:
    """Whether a table in the folder names images that stand beside it or below."""
    from moyin.data.readers import tables

    try:
        with os.scandir(folder) as entries:
            files = (e for e in entries if e.is_file(follow_symlinks=False) and e.name[0] != ".")
            return any(e.name == TABLE or tables.names_files(Path(e.path)) for e in files)
    except OSError:
        return False  # the walk says what is wrong with it


def _special(root: Path, entry: walk.Entry) -> Iterator[Share] | None:
    """The shares of what is no single image; None for what may be one."""
    if entry.fault:
        return iter([Faults(root.name, (entry,))])
    name = PurePosixPath(entry.name)
    if name.name == TABLE:
        return _rows(root, entry.name)
    reader = _readers().get(name.suffix.lower())
    return reader(root, entry.name) if reader else None


def _rows(root: Path, table: str) -> Iterator[Share]:
    with (root / table).open("rb") as file:
        first, lines = 0, 0
        while file.readline(LONGEST):
            lines += 1
            if lines % SHARE == 0:
                yield Rows(root, table, first, file.tell())
                first = file.tell()
        if file.tell() > first:
            yield Rows(root, table, first, file.tell())


def _readers() -> dict[str, Callable[[Path, str], Iterator[Share]]]:
    from moyin.data.readers import records, tables, tars

    return {
        records.SUFFIX: records.shares,
        ".tar": tars.shares,
        ".parquet": tables.parquet_shares,
        ".arrow": tables.arrow_shares,
    }
