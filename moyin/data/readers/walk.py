"""A folder's files, sorted, with bounded memory however many there are."""

from __future__ import annotations

import heapq
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

AT_ONCE = 50_000  # names held at a time; a larger folder is read again for the next ones


@dataclass(frozen=True)
class Entry:
    """A file by its path relative to the root, or a fault: what stands there instead."""

    name: str
    fault: str = ""


def walk(root: Path) -> Iterator[Entry]:
    """Every file below `root`, folders where their names sort; names that begin with a dot are
    left out, links to folders are not followed, and links out of `root` are faults."""
    yield from _walk(root.resolve(), "")


def _walk(root: Path, folder: str) -> Iterator[Entry]:
    try:
        for name, is_folder in _sorted(root / folder):
            path = f"{folder}/{name}" if folder else name
            if is_folder:
                yield from _walk(root, path)
            else:
                yield Entry(path, _fault(root, path))
    except OSError as error:
        yield Entry(folder or ".", f"not readable: {error.strerror}")


def _sorted(folder: Path) -> Iterator[tuple[str, bool]]:
    """Names and whether each is a folder, in order: the smallest, then those after them."""
    last = ""
    while True:
        with os.scandir(folder) as entries:
            later = (e for e in entries if e.name > last and not e.name.startswith("."))
            found = heapq.nsmallest(AT_ONCE, later, key=lambda entry: entry.name)
        yield from ((entry.name, entry.is_dir(follow_symlinks=False)) for entry in found)
        if len(found) < AT_ONCE:
            return
        last = found[-1].name


def _fault(root: Path, name: str) -> str:
    path = root / name
    try:
        if path.is_symlink() and not path.resolve(strict=True).is_relative_to(root):
            return "link out of its folder: not followed"
        kind = path.stat().st_mode
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle
        return f"not readable: {getattr(error, 'strerror', None) or error}"
    if stat.S_ISDIR(kind):
        return "link to a folder: not followed"
    return "" if stat.S_ISREG(kind) else "no regular file"


def inside(root: Path, name: str) -> Path:
    """The file that `name`, taken from an input, means; ValueError if it lies outside `root`."""
    root = root.resolve()
    try:
        path = (root / name).resolve()
        if not path.is_relative_to(root):
            raise ValueError("path out of its folder: not followed")
        if not path.is_file():
            raise ValueError("no such file")
    except (OSError, RuntimeError) as error:
        raise ValueError(f"not readable: {getattr(error, 'strerror', None) or error}") from None
    return path


def load(path: Path, largest: int) -> bytes:
    """A regular file's bytes; ValueError if it cannot be read or is larger."""
    try:
        with path.open("rb") as file:
            content = file.read(largest + 1)
    except OSError as error:
        raise ValueError(f"not readable: {error.strerror}") from None
    if len(content) > largest:
        raise ValueError(f"file too large: more than {largest >> 20} MiB")
    return content
