"""WebDataset: tars in which the files of one sample follow each other and share a name.

A share notes where its members' bytes stand, so it costs no more than them. Compressed tars have
no such places and are refused.
"""

from __future__ import annotations

import itertools
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from moyin.data.item import Item, found
from moyin.data.readers import LARGEST, SHARE, Share, captions
from moyin.data.readers.files import BESIDE, LONGEST, Faults
from moyin.data.readers.walk import Entry


@dataclass(frozen=True)
class Member:
    """A file in a tar: its name, and its bytes' place and number."""

    name: str
    place: int
    size: int

    @property
    def sample(self) -> str:
        """The name up to the first dot of its last part, which a sample's files share."""
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
        """One item for each image of the sample; what is neither is passed over."""
        source = f"{self.root.name}/{self.tar}"
        images = [m for m in members if m.suffix in captions.IMAGES]
        try:
            said = tuple(
                text
                for m in members
                if m.suffix in BESIDE
                for text in captions.of_text(_content(file, m, LONGEST), m.suffix == ".json")
            )
            if not images:
                raise ValueError("no image in the sample")
            for member in images:
                yield found(source, member.name, _content(file, member, LARGEST), said)
        except ValueError as error:
            yield found(source, members[0].sample, fault=str(error))


def _content(file: BinaryIO, member: Member, largest: int) -> bytes:
    if member.size > largest:
        raise ValueError(f"file too large: more than {largest >> 20} MiB")
    file.seek(member.place)
    content = file.read(member.size)
    if len(content) < member.size:
        raise ValueError("tar cut short")
    return content


def shares(root: Path, name: str) -> Iterator[Share]:
    """The samples of one tar; a tar that is damaged gives those before the damage, and a fault."""
    faults: list[str] = []
    samples = itertools.groupby(_members(root / name, faults), lambda member: member.sample)
    whole = (tuple(members) for _, members in samples)
    while some := tuple(itertools.islice(whole, SHARE)):
        yield Samples(root, name, some)
    if faults:
        yield Faults(root.name, (Entry(name, faults[0]),))


def _members(path: Path, faults: list[str]) -> Iterator[Member]:
    """The regular files of a tar, whatever else stands in it; links have no bytes of their own."""
    try:
        with tarfile.open(path, "r:") as tar:
            while (member := tar.next()) is not None:
                tar.members = []  # type: ignore[attr-defined]  # or all of them would pile up
                if member.isreg():
                    yield Member(member.name, member.offset_data, member.size)
            ended = tar.offset
        faults += _end(path, ended)
    except (tarfile.TarError, OSError, ValueError) as error:
        faults.append(f"damaged tar, or a compressed one: {error}")


def _end(path: Path, place: int) -> list[str]:
    """What is wrong where the members end: there should be nothing, or zeros."""
    if place > path.stat().st_size:
        return ["tar cut short"]
    with path.open("rb") as file:
        file.seek(place)
        return ["damaged tar, or a compressed one: no header"] if any(file.read(512)) else []
