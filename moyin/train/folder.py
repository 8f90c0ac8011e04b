"""A folder of images with captions, made into a dataset that training reads.

FOLDER/name.png with its captions in FOLDER/name.txt, one a line; what an image says stands there
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
from moyin.data.filters.resize import center_crop
from moyin.data.item import Item
from moyin.data.readers.captions import IMAGES
from moyin.dataset.dataset import Dataset
from moyin.dataset.sample import Sample

UNREADABLE = "\ufffd"  # stands in a text for bytes of no known encoding


def dataset_of(folder: Path, out: Path, size: tuple[int, int]) -> Dataset:
    """The folder's images at one size (height, width) as the dataset `out`, made once.

    Images are scaled to cover the size, and what stands over is cut off evenly. ValueError for
    a folder without images, an image that cannot be read or has no caption, and where `out`
    holds other images.
    """
    total, count = hashlib.sha256(repr(size).encode()), 0
    for item in _items(folder):
        said = _captions(folder, item)
        total.update(item.key.encode() + item.content + repr(said).encode())
        count += 1
    if not count:
        raise ValueError(f"{folder} is no dataset, and holds no images ({', '.join(IMAGES)})")
    digest = total.hexdigest()
    if (out / "dataset.json").exists() and Dataset.open(out).column("image").digest != digest:
        raise ValueError(
            f"{out} was made of other images than {folder} holds now, or at another size: "
            "give the training an out= of its own"
        )
    dataset = Dataset.create(out, {"from": folder.name}, seed=0, count=count, digest=digest)
    first = len(dataset)

    def samples() -> Iterator[Sample]:
        left = islice(_items(folder), first, None)
        shown = track(left, description=f"reading {folder}", total=count - first)
        for number, item in enumerate(shown, first):
            yield _sample(folder, item, size, number)

    if first < count:
        dataset.append(samples())
    return dataset


def _items(folder: Path) -> Iterator[Item]:
    """The images, in order; files of other kinds that lie between them are passed over."""
    for partition in readers.partitions(folder):
        for item in partition.read():
            image = PurePosixPath(item.key).suffix.lower() in IMAGES
            if image or not (folder / item.key).is_file():
                yield _kept(folder, item)


def _kept(folder: Path, item: Item) -> Item:
    """ValueError for one that a source or a stage has dropped."""
    if not item.kept:
        why = f"{item.reason}{': ' * bool(item.detail)}{item.detail}"
        raise ValueError(f"{folder / item.key} cannot be read as an image: {why}")
    return item


def _captions(folder: Path, item: Item) -> tuple[str, ...]:
    image = folder / item.key
    beside = image.with_suffix(".txt")
    texts = item.sample.captions
    if any(UNREADABLE in text for text in texts):
        raise ValueError(f"{beside} is no text in UTF-8")
    lines = tuple(x for text in texts for line in text.splitlines() if (x := line.strip()))
    if not lines and beside.is_file():
        raise ValueError(f"{beside} is empty: write what {image.name} shows")
    if not lines:
        raise ValueError(f"{image} has no caption: write what it shows into {beside.name}")
    return lines


def _sample(folder: Path, item: Item, size: tuple[int, int], number: int) -> Sample:
    (decoded,) = Decode.Config().build()([item])
    sample = _kept(folder, decoded).sample
    return replace(
        sample,
        image=center_crop(sample.image, size),
        captions=_captions(folder, item),
        index=number,
    )
