"""What a worker does with a share: read it, take its images through the stages, pack them."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from PIL import Image

from moyin.data.filters import Stage, StageConfig, run
from moyin.data.item import EMPTY, Item
from moyin.data.readers import Share
from moyin.dataset.column import Column

AT_ONCE = 4  # images in memory at a time, each perhaps of many megapixels
THUMBNAIL = 128  # pixels of a side


@dataclass(frozen=True)
class Outcome:
    """An image after all stages: the item without its pixels, and these as PNG if it is kept,
    or as a small JPEG if it is not and there are any."""

    item: Item
    image: bytes


@dataclass(frozen=True)
class Work:
    """The stages of a run; called with a share, it gives the outcomes of all its images."""

    stages: tuple[StageConfig, ...]

    def __call__(self, share: Share) -> list[Outcome]:
        stages = _built(self.stages)
        return [_packed(item) for some in _parts(share.read()) for item in run(stages, some)]


@lru_cache(maxsize=1)
def _built(configs: tuple[StageConfig, ...]) -> list[Stage]:
    """The stages of this process, made once."""
    return [config.build() for config in configs]


def _parts(items: Iterator[Item]) -> Iterator[Sequence[Item]]:
    while some := list(itertools.islice(items, AT_ONCE)):
        yield some


def _packed(item: Item) -> Outcome:
    image = item.sample.image
    if item.kept:
        content = IMAGE.encode(image)
    else:
        content = thumbnail(Image.fromarray(image)) if image.size else b""
    return Outcome(item.with_sample(image=EMPTY), content)


IMAGE = Column(kind="png", digest="")


def thumbnail(image: Image.Image) -> bytes:
    """A small JPEG."""
    small = image.convert("RGB")
    small.thumbnail((THUMBNAIL, THUMBNAIL), reducing_gap=2.0)
    content = io.BytesIO()
    small.save(content, "JPEG", quality=70)
    return content.getvalue()
