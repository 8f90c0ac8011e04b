"""Read the text in an image by OCR, and compare it with the captions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from moyin.data.item import Item
from moyin.ocr import paddle, scores
from moyin.prompt.quotes import quoted


class OcrFilter:
    """Adds `ocr_text`, and `text_precision` and `text_recall` against the captions.

    The text of a caption is what it quotes. Precision: share of the recognised characters that the
    caption has. Recall: share of the caption's characters that were recognised. Both are -1
    without such characters, and for images that were not read.
    """

    name = "ocr"

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """images: which images to read: none, those not rendered whose captions quote text, all
        those not rendered, or all.

        confidence: minimum confidence of a recognised line. recall: images whose captions quote
        text are dropped below this recall.
        """

        images: Literal["none", "quoted", "inputs", "all"] = "none"
        confidence: float = 0.6
        recall: float = 0.0

        def build(self) -> OcrFilter:
            return OcrFilter(self)

    def __init__(self, config: Config) -> None:
        self.config = config

    def __call__(self, items: Sequence[Item]) -> list[Item]:
        return [self._filter(item) for item in items]

    def _filter(self, item: Item) -> Item:
        expected = expected_text(item)
        if not self._selects(item, expected):
            return item.with_values(ocr_text="", text_precision=-1.0, text_recall=-1.0)
        lines = paddle.read(item.sample.image)
        text = "\n".join(line.text for line in lines if line.confidence >= self.config.confidence)
        precision, recall = agreement(expected, text)
        item = item.with_values(
            ocr_text=text, text_precision=round(precision, 4), text_recall=round(recall, 4)
        )
        if 0 <= recall < self.config.recall:
            return item.drop(self.name, "text not found", f"expected {expected!r}, read {text!r}")
        return item

    def _selects(self, item: Item, expected: str) -> bool:
        return {
            "none": False,
            "quoted": bool(expected) and not item.rendered,
            "inputs": not item.rendered,
            "all": True,
        }[self.config.images]


def expected_text(item: Item) -> str:
    """The text of the image's lines, or else of the caption that quotes most."""
    if item.sample.lines:
        return "".join(line.text for line in item.sample.lines)
    return max(("".join(quoted(caption)) for caption in item.sample.captions), key=len, default="")


def agreement(expected: str, recognised: str) -> tuple[float, float]:
    """Precision and recall of the characters as multisets of `scores.plain`; -1 without any."""
    wanted, read = Counter(scores.plain(expected)), Counter(scores.plain(recognised))
    shared = (wanted & read).total()
    return (
        scores.share(shared, read.total(), empty=-1.0),
        scores.share(shared, wanted.total(), empty=-1.0),
    )
