"""One image on its way from a source into the dataset, and what was decided about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from moyin.dataset.sample import Sample

Value = str | int | float
EMPTY = np.zeros((0, 0, 3), np.uint8)  # the image of what has not been decoded yet


@dataclass(frozen=True, kw_only=True)
class Item:
    """What is known of one image so far. Stages return changed copies.

    source, key: which input it is from and where in it, printable. content: the file's bytes
    until they are decoded into `sample.image`. values: what the dataset's columns will hold.
    notes: what had to be mended. stage, reason, detail: who dropped it and why; empty while it
    is kept. A reason is one of few, and counted; the detail is this image's own.
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
        """Whether Moyin drew it itself: then everything about it is known."""
        return self.sample.background.get("kind") != FOUND

    def drop(self, stage: str, reason: str, detail: str = "") -> Item:
        return replace(self, stage=stage, reason=reason, detail=printable(detail))

    def with_sample(self, **fields: Any) -> Item:
        """A copy whose sample has these fields."""
        return replace(self, sample=replace(self.sample, **fields))

    def with_values(self, **values: Value) -> Item:
        return replace(self, values={**self.values, **values})

    def noted(self, *notes: str) -> Item:
        return replace(self, notes=(*self.notes, *notes))


FOUND = "found"  # the kind of ground of an image that was not rendered: nobody knows


def found(
    source: str, key: str, content: bytes = b"", captions: tuple[str, ...] = (), fault: str = ""
) -> Item:
    """An image as a source gives it; one with a fault is dropped at once."""
    sample = Sample(EMPTY, captions, (), {"kind": FOUND}, (), 0, 0)
    item = Item(source=printable(source), key=printable(key), sample=sample, content=content)
    reason, _, detail = fault.partition(": ")
    return item.drop("source", reason, detail) if fault else item


def printable(text: str, longest: int = 300) -> str:
    """Text for logs and reports: control characters and broken encodings as escapes, and short."""
    safe = text.encode("utf-8", "backslashreplace").decode()
    safe = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in safe)
    return safe if len(safe) <= longest else f"{safe[: longest - 1]}…"
