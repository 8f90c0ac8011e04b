"""The interface of OCR engines, and helpers that use it.

`read` searches a whole image for lines. Where the position of a text is known, its box is cropped
and recognised alone, which also works for single characters.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from PIL import Image

from moyin.ocr import paddle
from moyin.ocr.result import Box, OCRResult, Pixels

MARGIN = 0.15  # around a crop, as a share of the shorter side of its box
CONFIDENT = 0.9  # a single character recognised with this confidence is not looked at again
SMALL_VIEW = 32  # pixels per side of the smallest view of a character
ENGINES = ("pp-ocrv5", "tesseract", "vision")


class OCREngine(Protocol):
    """Images are uint8 RGB [H, W, 3]. name: used in reports, includes the version."""

    @property
    def name(self) -> str: ...

    def read(self, image_hwc: Pixels) -> Sequence[OCRResult]:
        """The lines of a whole image, from top to bottom."""
        ...

    def recognise(self, crop_hwc: Pixels) -> OCRResult:
        """The text of a crop that shows one line; empty if the engine reads nothing."""
        ...


class PaddleOCR:
    """PP-OCRv5 mobile, the default engine: deterministic on every machine."""

    def __init__(self) -> None:
        self.name = paddle.name()

    def read(self, image_hwc: Pixels) -> Sequence[OCRResult]:
        return paddle.read(image_hwc)

    def recognise(self, crop_hwc: Pixels) -> OCRResult:
        return paddle.recognise(crop_hwc)


def open_engine(name: str, url: str | None = None, model: str | None = None) -> OCREngine:
    """Open the engine with one of the names in `ENGINES`.

    url, model: of `vision`, a vision-language model behind a chat endpoint. Raises ValueError for
    an unknown name and for a missing program or address; ModuleNotFoundError if the package of
    PP-OCRv5 is not installed.
    """
    from moyin.ocr.tesseract import Tesseract
    from moyin.ocr.vision_language import VisionLanguageOCR

    if name == "pp-ocrv5":
        return PaddleOCR()
    if name == "tesseract":
        return Tesseract()
    if name == "vision":
        if not url or not model:
            raise ValueError("the engine vision needs engine_url=URL and engine_model=NAME")
        return VisionLanguageOCR(url=url, model=model)
    raise ValueError(f"unknown OCR engine {name}; available: {', '.join(ENGINES)}")


def read_boxes(engine: OCREngine, image_hwc: Pixels, boxes: Sequence[Box]) -> list[OCRResult]:
    """Recognise the text in each box of an image."""
    return [engine.recognise(crop(image_hwc, box)) for box in boxes]


def read_character(engine: OCREngine, image_hwc: Pixels, box: Box) -> str:
    """Recognise the single character in a box of an image; "" if nothing is recognised.

    Engines often fail on a character without neighbours. If the first view gives no confident
    result, two more views are recognised and the text with the largest total confidence wins.
    """
    confidence: dict[str, float] = {}
    for view in character_views(image_hwc, box):
        result = engine.recognise(view)
        if not confidence and result.confidence >= CONFIDENT:
            return result.text
        confidence[result.text] = confidence.get(result.text, 0.0) + result.confidence
    return max(confidence, key=lambda text: confidence[text])


def character_views(image_hwc: Pixels, box: Box) -> list[Pixels]:
    """A tight, a wide and a small crop of a character. The crops are square: an engine takes a
    flat crop of 一 for a rule."""
    square = squared(box)
    tight, wide = (crop(image_hwc, square, margin) for margin in (0.08, 0.5))
    small = Image.fromarray(crop(image_hwc, square))
    small.thumbnail((SMALL_VIEW, SMALL_VIEW), Image.Resampling.LANCZOS)
    return [tight, wide, np.array(small)]


def squared(box: Box) -> Box:
    """The box extended to a square around the same centre."""
    left, top, right, bottom = box
    across, down = (left + right) / 2, (top + bottom) / 2
    half = max(right - left, bottom - top) / 2
    return across - half, down - half, across + half, down + half


def crop(image_hwc: Pixels, box: Box, margin: float = MARGIN) -> Pixels:
    """The box with a margin, a share of its shorter side, clipped to the image."""
    left, top, right, bottom = (round(side) for side in box)
    edge = round(margin * min(right - left, bottom - top)) + 2
    return image_hwc[
        max(0, top - edge) : max(0, bottom) + edge,
        max(0, left - edge) : max(0, right) + edge,
    ]
