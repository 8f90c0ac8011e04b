"""One image on its way from a source into the dataset, with the decisions made about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from moyin.dataset.sample import Sample

Value = str | int | float
NO_PIXELS = np.zeros((0, 0, 3), np.uint8)  # the image of an item that is not decoded
UNKNOWN_BACKGROUND = "found"  # background kind of images that were not rendered


@dataclass(frozen=True, kw_only=True)
class Item:
    """An image and what the stages know about it. Stages return changed copies.

    source: the input it comes from. key: its name in the source. Both are printable.
    content: the encoded file; empty once it is decoded into `sample.image`.
    values: the values of the dataset's columns.
    notes: repairs, such as "alpha composited on white".
    stage, reason, detail: the stage that dropped the item, and why; empty while it is kept. There
    are few different reasons, and they are counted; a detail belongs to one image.
    """

    source: str
    key: str
    sample: Sample
    content: bytes = b""
    values: Mapping[str, Value] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    stage: str = ""
    reason: str = ""
    detail: str = ""

    @property
    def kept(self) -> bool:
        return not self.reason

    @property
    def rendered(self) -> bool:
        """Whether Moyin rendered the image, so that its text and boxes are known exactly."""
        return self.sample.background.get("kind") != UNKNOWN_BACKGROUND

    @property
    def name(self) -> str:
        """Source and key, for messages."""
        return f"{self.source}/{self.key}"

    def drop(self, stage: str, reason: str, detail: str = "") -> Item:
        return replace(self, stage=stage, reason=reason, detail=printable(detail))

    def with_sample(self, **fields: Any) -> Item:
        """A copy with these fields of its sample replaced."""
        return replace(self, sample=replace(self.sample, **fields))

    def with_values(self, **values: Value) -> Item:
        return replace(self, values={**self.values, **values})

    def with_notes(self, *notes: str) -> Item:
        return replace(self, notes=(*self.notes, *notes))


def source_item(
    source: str, key: str, content: bytes = b"", captions: tuple[str, ...] = (), fault: str = ""
) -> Item:
    """The item that a source yields. One with a `fault` ("REASON: DETAIL") is dropped at once."""
    sample = Sample(NO_PIXELS, captions, (), {"kind": UNKNOWN_BACKGROUND}, (), 0, 0)
    item = Item(source=printable(source), key=printable(key), sample=sample, content=content)
    reason, _, detail = fault.partition(": ")
    return item.drop("source", reason, detail) if fault else item


def printable(text: str, max_length: int = 300) -> str:
    """Text for logs and reports: short, with control characters and invalid bytes escaped."""
    safe = text.encode("utf-8", "backslashreplace").decode()
    safe = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in safe)
    return safe if len(safe) <= max_length else f"{safe[: max_length - 1]}…"
