"""Digests that are not computed twice: of files so large that reading them takes a minute.

Kept in the user's cache folder under the files' names, sizes and times of change, so a file that
is written anew is read anew. `moyin inspect` always reads.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

VARIABLE = "XDG_CACHE_HOME"
LARGE = 2**30  # bytes; less is read in a second or two


def remembered(files: Iterable[Path], compute: Callable[[], str]) -> str:
    """`compute()`, or what it gave for these files as they are, where they are large."""
    found = sorted({file.resolve() for file in files})
    facts = [(file, file.stat()) for file in found]
    if sum(fact.st_size for _, fact in facts) < LARGE:
        return compute()
    told = "\n".join(f"{file} {fact.st_size} {fact.st_mtime_ns}" for file, fact in facts)
    place = cache() / hashlib.sha256(told.encode()).hexdigest()
    if place.is_file() and re.fullmatch("[0-9a-f]{64}", kept := place.read_text("ascii")):
        return kept
    digest = compute()
    _keep(place, digest)
    return digest


def cache() -> Path:
    """The user's folder of remembered digests."""
    return Path(os.environ.get(VARIABLE) or Path.home() / ".cache") / "moyin" / "digests"


def _keep(place: Path, digest: str) -> None:
    """Where nothing can be written, nothing is remembered and nothing else is lost."""
    part = place.with_name(f"{place.name}.{os.getpid()}")
    with suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(digest, "ascii")
        part.replace(place)
