"""List the files of a folder in order, with bounded memory."""

from __future__ import annotations

import heapq
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MAX_NAMES = 50_000  # names in memory at a time; a larger folder is read several times


@dataclass(frozen=True)
class Entry:
    """A file by its path relative to the root. fault: why it cannot be read, if so."""

    name: str
    fault: str = ""


def list_files(root: Path) -> Iterator[Entry]:
    """Every file below `root`, depth first, in the order of the names.

    Names that begin with a dot are skipped, links to folders are not followed, and links that
    lead out of `root` are faults.
    """
    yield from _list(root.resolve(), "")


def _list(root: Path, folder: str) -> Iterator[Entry]:
    try:
        for name, is_folder in _sorted_names(root / folder):
            path = f"{folder}/{name}" if folder else name
            if is_folder:
                yield from _list(root, path)
            else:
                yield Entry(path, _fault(root, path))
    except OSError as error:
        yield Entry(folder or ".", f"not readable: {error.strerror}")


def _sorted_names(folder: Path) -> Iterator[tuple[str, bool]]:
    """Sorted names, each with whether it is a folder; at most MAX_NAMES are in memory."""
    last = ""
    while True:
        with os.scandir(folder) as entries:
            later = (e for e in entries if e.name > last and not e.name.startswith("."))
            smallest = heapq.nsmallest(MAX_NAMES, later, key=lambda entry: entry.name)
        yield from ((entry.name, entry.is_dir(follow_symlinks=False)) for entry in smallest)
        if len(smallest) < MAX_NAMES:
            return
        last = smallest[-1].name


def _fault(root: Path, name: str) -> str:
    path = root / name
    try:
        if path.is_symlink() and not path.resolve(strict=True).is_relative_to(root):
            return "link out of its folder: not followed"
        kind = path.stat().st_mode
    except (OSError, RuntimeError) as error:  # RuntimeError: circular links
        return f"not readable: {getattr(error, 'strerror', None) or error}"
    if stat.S_ISDIR(kind):
        return "link to a folder: not followed"
    return "" if stat.S_ISREG(kind) else "no regular file"


def inside(root: Path, name: str) -> Path:
    """The path of `name`, which an input names. ValueError if it lies outside `root`."""
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


def load(path: Path, max_bytes: int) -> bytes:
    """The content of a regular file. ValueError if it cannot be read or is larger."""
    try:
        with path.open("rb") as file:
            content = file.read(max_bytes + 1)
    except OSError as error:
        raise ValueError(f"not readable: {error.strerror}") from None
    if len(content) > max_bytes:
        raise ValueError(f"file too large: more than {max_bytes >> 20} MiB")
    return content
