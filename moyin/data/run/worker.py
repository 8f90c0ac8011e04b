"""What a worker does with a partition: read it, run the stages, encode the results."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from PIL import Image

from moyin.data.filters import Stage, StageConfig, run
from moyin.data.item import NO_PIXELS, Item
from moyin.data.readers import Partition
from moyin.dataset.column import Column

BATCH = 4  # images in memory at a time; each may have many megapixels
THUMBNAIL = 128  # pixels of the longer side
IMAGE_COLUMN = Column(kind="png", digest="")


@dataclass(frozen=True)
class Outcome:
    """An item after all stages, without its pixels. image: these as PNG if the item is kept, else
    as a small JPEG, or empty if it was never decoded."""

    item: Item
    image: bytes


@dataclass(frozen=True)
class Work:
    """The stages of a run. Called with a partition, it returns the outcomes of all its images."""

    stages: tuple[StageConfig, ...]

    def __call__(self, partition: Partition) -> list[Outcome]:
        stages = _build(self.stages)
        return [_outcome(item) for batch in _batches(partition) for item in run(stages, batch)]


@lru_cache(maxsize=1)
def _build(configs: tuple[StageConfig, ...]) -> list[Stage]:
    """The stages of this process, built once."""
    return [config.build() for config in configs]


def _batches(partition: Partition) -> Iterator[Sequence[Item]]:
    items = partition.read()
    while batch := list(itertools.islice(items, BATCH)):
        yield batch


def _outcome(item: Item) -> Outcome:
    image = item.sample.image
    if item.kept:
        content = IMAGE_COLUMN.encode(image)
    else:
        content = thumbnail(Image.fromarray(image)) if image.size else b""
    return Outcome(item.with_sample(image=NO_PIXELS), content)


def thumbnail(image: Image.Image) -> bytes:
    """A small JPEG."""
    small = image.convert("RGB")
    small.thumbnail((THUMBNAIL, THUMBNAIL), reducing_gap=2.0)
    content = io.BytesIO()
    small.save(content, "JPEG", quality=70)
    return content.getvalue()
