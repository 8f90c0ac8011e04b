"""Where images come from. A source is cut into shares, each small enough for one worker.

    share = next(shares(Path("photos")))     what to read, a few hundred bytes
    items = share.read()                     the images themselves, where they are needed

Shares come in one order on every machine and in every run: what was done is known by how many
shares were, and nothing is listed whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from moyin.data.item import Item

SHARE = 64  # images a share, at most
LARGEST = 2**26  # bytes of an image's file


class Share(Protocol):
    """A piece of a source: picklable, and equal to itself in the next run."""

    def read(self) -> Iterator[Item]:
        """The images of this piece, in order; a broken one is an item that is dropped."""
        ...


def shares(path: Path) -> Iterator[Share]:
    """The images under a folder, or in one file: images, tars, Parquet, Arrow, MindRecord.

    ValueError where there is nothing.
    """
    from moyin.data.readers import files

    if not path.exists():
        raise ValueError(f"no folder or file {path} to prepare images from")
    yield from files.shares(path)
