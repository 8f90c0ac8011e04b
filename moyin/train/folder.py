"""A folder of pictures with captions, made into a store that training reads.

FOLDER/name.png with its captions in FOLDER/name.txt, one a line; what a picture says stands there
in quotes, as in a prompt. Whatever else `data.readers` reads will do too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path, PurePosixPath

from rich.progress import track

from moyin.data import readers
from moyin.data.filters.decode import Decode
from moyin.data.filters.resize import covering
from moyin.data.item import Item
from moyin.data.readers.captions import PICTURES
from moyin.dataset.dataset import Store
from moyin.dataset.sample import Sample

UNREADABLE = "\ufffd"  # stands in a text for bytes of no known encoding


def store_of(folder: Path, out: Path, size: tuple[int, int]) -> Store:
    """The folder's pictures at one size (height, width) as the store `out`, made once.

    Pictures are scaled to cover the size, and what stands over is cut off evenly. ValueError for
    a folder without pictures, a picture that cannot be read or has no caption, and where `out`
    holds other pictures.
    """
    total, count = hashlib.sha256(repr(size).encode()), 0
    for item in _items(folder):
        said = _captions(folder, item)
        total.update(item.key.encode() + item.content + repr(said).encode())
        count += 1
    if not count:
        raise ValueError(f"{folder} is no store, and holds no pictures ({', '.join(PICTURES)})")
    digest = total.hexdigest()
    if (out / "store.json").exists() and Store.open(out).column("picture").digest != digest:
        raise ValueError(
            f"{out} was made of other pictures than {folder} holds now, or at another size: "
            "give the training an out= of its own"
        )
    store = Store.create(out, {"from": folder.name}, seed=0, count=count, digest=digest)
    first = len(store)

    def samples() -> Iterator[Sample]:
        left = islice(_items(folder), first, None)
        shown = track(left, description=f"reading {folder}", total=count - first)
        for number, item in enumerate(shown, first):
            yield _sample(folder, item, size, number)

    if first < count:
        store.append(samples())
    return store


def _items(folder: Path) -> Iterator[Item]:
    """The pictures, in order; files of other kinds that lie between them are passed over."""
    for share in readers.shares(folder):
        for item in share.read():
            picture = PurePosixPath(item.key).suffix.lower() in PICTURES
            if picture or not (folder / item.key).is_file():
                yield _kept(folder, item)


def _kept(folder: Path, item: Item) -> Item:
    """ValueError for one that a source or a stage has dropped."""
    if not item.kept:
        why = f"{item.reason}{': ' * bool(item.detail)}{item.detail}"
        raise ValueError(f"{folder / item.key} cannot be read as a picture: {why}")
    return item


def _captions(folder: Path, item: Item) -> tuple[str, ...]:
    picture = folder / item.key
    beside = picture.with_suffix(".txt")
    texts = item.sample.captions
    if any(UNREADABLE in text for text in texts):
        raise ValueError(f"{beside} is no text in UTF-8")
    lines = tuple(x for text in texts for line in text.splitlines() if (x := line.strip()))
    if not lines and beside.is_file():
        raise ValueError(f"{beside} is empty: write what {picture.name} shows")
    if not lines:
        raise ValueError(f"{picture} has no caption: write what it shows into {beside.name}")
    return lines


def _sample(folder: Path, item: Item, size: tuple[int, int], number: int) -> Sample:
    (decoded,) = Decode.Config().build()([item])
    sample = _kept(folder, decoded).sample
    return replace(
        sample,
        picture=covering(sample.picture, size),
        captions=_captions(folder, item),
        index=number,
    )
