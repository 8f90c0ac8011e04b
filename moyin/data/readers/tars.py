"""WebDataset: tar files in which the files of one sample are adjacent and share a name.

A partition holds the byte offsets of its members, so only these are read. Compressed tar files
have no such offsets and are not supported.
"""

from __future__ import annotations

import itertools
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from moyin.data.item import Item, source_item
from moyin.data.readers import MAX_BYTES, PARTITION, Partition, captions
from moyin.data.readers.files import MAX_CAPTION_BYTES, SIDECARS, Faults
from moyin.data.readers.listing import Entry


@dataclass(frozen=True)
class Member:
    """A file in a tar: its name, and the offset and number of its bytes."""

    name: str
    offset: int
    size: int

    @property
    def sample(self) -> str:
        """The path up to the first dot of the file name, which all files of a sample share."""
        folder, slash, name = self.name.rpartition("/")
        return folder + slash + name.partition(".")[0]

    @property
    def suffix(self) -> str:
        return PurePosixPath(self.name).suffix.lower()


@dataclass(frozen=True)
class Samples:
    """Consecutive samples of one tar."""

    root: Path
    tar: str
    samples: tuple[tuple[Member, ...], ...]

    def read(self) -> Iterator[Item]:
        with (self.root / self.tar).open("rb") as file:
            for members in self.samples:
                yield from self._items(file, members)

    def _items(self, file: BinaryIO, members: tuple[Member, ...]) -> Iterator[Item]:
        """One item for each image of the sample; files that are no captions are skipped."""
        source = f"{self.root.name}/{self.tar}"
        images = [m for m in members if m.suffix in captions.IMAGES]
        try:
            texts = tuple(
                text
                for m in members
                if m.suffix in SIDECARS
                for text in captions.from_file(
                    _content(file, m, MAX_CAPTION_BYTES), m.suffix == ".json"
                )
            )
            if not images:
                raise ValueError("no image in the sample")
            for member in images:
                yield source_item(source, member.name, _content(file, member, MAX_BYTES), texts)
        except ValueError as error:
            yield source_item(source, members[0].sample, fault=str(error))


def _content(file: BinaryIO, member: Member, max_bytes: int) -> bytes:
    if member.size > max_bytes:
        raise ValueError(f"file too large: more than {max_bytes >> 20} MiB")
    file.seek(member.offset)
    content = file.read(member.size)
    if len(content) < member.size:
        raise ValueError("truncated tar")
    return content


def partitions(root: Path, name: str) -> Iterator[Partition]:
    """The samples of one tar; of a damaged tar those before the damage, and a fault."""
    faults: list[str] = []
    samples = itertools.groupby(_members(root / name, faults), lambda member: member.sample)
    groups = (tuple(members) for _, members in samples)
    while batch := tuple(itertools.islice(groups, PARTITION)):
        yield Samples(root, name, batch)
    if faults:
        yield Faults(root.name, (Entry(name, faults[0]),))


def _members(path: Path, faults: list[str]) -> Iterator[Member]:
    """The regular files of a tar; links have no bytes of their own."""
    try:
        with tarfile.open(path, "r:") as tar:
            while (member := tar.next()) is not None:
                tar.members = []  # type: ignore[attr-defined]  # else the list of members grows
                if member.isreg():
                    yield Member(member.name, member.offset_data, member.size)
            end = tar.offset
        faults += _end_faults(path, end)
    except (tarfile.TarError, OSError, ValueError) as error:
        faults.append(f"damaged tar, or a compressed one: {error}")


def _end_faults(path: Path, end: int) -> list[str]:
    """Faults after the last member, where only zeros may follow."""
    if end > path.stat().st_size:
        return ["truncated tar"]
    with path.open("rb") as file:
        file.seek(end)
        return ["damaged tar, or a compressed one: no header"] if any(file.read(512)) else []
