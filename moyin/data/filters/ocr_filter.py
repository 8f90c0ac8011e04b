"""Reading: what text an OCR engine finds in an image, and how well the captions tell of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from moyin.data.item import Item
from moyin.ocr import paddle, scores
from moyin.prompt.quotes import quoted


class Reading:
    """Adds `read`, the text found, and `text_precision` and `text_recall` against the captions.

    Text of a caption is what stands in its quotes. Precision: which share of the characters read
    is in the captions; recall: which share of theirs was read; -1 where there is none, or the
    image was not read.
    """

    name = "reading"

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """images: none, those whose captions quote something, those found, or all.

        sure: the engine's confidence from which on a line counts. recall: an image whose captions
        quote text is dropped if less of it was read.
        """

        images: Literal["none", "quoted", "found", "all"] = "none"
        sure: float = 0.6
        recall: float = 0.0

        def build(self) -> Reading:
            return Reading(self)

    def __init__(self, config: Config) -> None:
        self.config = config

    def __call__(self, items: Sequence[Item]) -> list[Item]:
        return [self._read(item) for item in items]

    def _read(self, item: Item) -> Item:
        told = asked(item)
        if not self._wanted(item, told):
            return item.with_values(read="", text_precision=-1.0, text_recall=-1.0)
        lines = paddle.read(item.sample.image)
        text = "\n".join(line.text for line in lines if line.confidence >= self.config.sure)
        precision, recall = agreement(told, text)
        read = item.with_values(
            read=text, text_precision=round(precision, 4), text_recall=round(recall, 4)
        )
        if 0 <= recall < self.config.recall:
            return read.drop(self.name, "text not found", f"{told!r}, but {text!r} was read")
        return read

    def _wanted(self, item: Item, told: str) -> bool:
        which = self.config.images
        return {
            "none": False,
            "quoted": bool(told) and not item.rendered,
            "found": not item.rendered,
            "all": True,
        }[which]


def asked(item: Item) -> str:
    """The text that the image is said to hold: its lines, or else the caption's that quotes
    most."""
    if item.sample.lines:
        return "".join(line.text for line in item.sample.lines)
    return max(("".join(quoted(caption)) for caption in item.sample.captions), key=len, default="")


def agreement(told: str, read: str) -> tuple[float, float]:
    """Precision and recall of the characters read, as multisets of `scores.plain`; -1 where there
    are none."""
    wanted, there = Counter(scores.plain(told)), Counter(scores.plain(read))
    shared = (wanted & there).total()
    return (
        scores.share(shared, there.total(), empty=-1.0),
        scores.share(shared, wanted.total(), empty=-1.0),
    )
