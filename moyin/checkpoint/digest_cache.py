"""A cache of digests: files of a size that takes a minute to read are read once.

The key is made of the files' names, sizes and times of change, so a file that is written anew is
read anew. `moyin inspect` does not use the cache.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

VARIABLE = "XDG_CACHE_HOME"
LARGE = 2**30  # bytes; smaller files are read in a second or two


def cached_digest(files: Iterable[Path], compute: Callable[[], str]) -> str:
    """`compute()`, or its cached result for these files where they are large and unchanged."""
    paths = sorted({file.resolve() for file in files})
    states = [(path, path.stat()) for path in paths]
    if sum(state.st_size for _, state in states) < LARGE:
        return compute()
    key = "\n".join(f"{path} {state.st_size} {state.st_mtime_ns}" for path, state in states)
    entry = cache_folder() / hashlib.sha256(key.encode()).hexdigest()
    if entry.is_file() and re.fullmatch("[0-9a-f]{64}", cached := entry.read_text("ascii")):
        return cached
    digest = compute()
    _write(entry, digest)
    return digest


def cache_folder() -> Path:
    """The user's folder of cached digests."""
    return Path(os.environ.get(VARIABLE) or Path.home() / ".cache") / "moyin" / "digests"


def _write(entry: Path, digest: str) -> None:
    """Without effect where the folder cannot be written."""
    part = entry.with_name(f"{entry.name}.{os.getpid()}")
    with suppress(OSError):
        entry.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(digest, "ascii")
        part.replace(entry)
