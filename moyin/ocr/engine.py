"""The interface of all OCR engines, and the ways of reading with one.

A whole image is searched for lines; where the place of a text is known, its box is cut out and
read alone, which also works for single characters.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from PIL import Image

from moyin.ocr import paddle
from moyin.ocr.paddle import Box, Pixels, Reading

MARGIN = 0.15  # around a box that is cut out, of its shorter side
SURE = 0.9  # confidence from which a single character is not looked at again
SMALL = 32  # pixels a side of a character's smallest view
ENGINES = ("pp-ocrv5", "tesseract", "vision")


class Engine(Protocol):
    """Images are uint8 RGB [H, W, 3]. name: as reports name it, with its version."""

    @property
    def name(self) -> str: ...

    def read(self, image_hwc: Pixels) -> Sequence[Reading]:
        """The lines found in a whole image, from top to bottom."""
        ...

    def recognise(self, crop_hwc: Pixels) -> Reading:
        """What a crop of one line says; its text is empty where it says nothing."""
        ...


class PaddleOCR:
    """PP-OCRv5 mobile, the default: the same words from the same pixels everywhere."""

    def __init__(self) -> None:
        self.name = paddle.name()

    def read(self, image_hwc: Pixels) -> Sequence[Reading]:
        return paddle.read(image_hwc)

    def recognise(self, crop_hwc: Pixels) -> Reading:
        return paddle.recognise(crop_hwc)


def find(name: str, url: str | None = None, model: str | None = None) -> Engine:
    """The engine of a name of `ENGINES`; url and model are those of `vision`, a vision-language
    model behind a chat endpoint.

    Raises ValueError for an unknown name, and for a program or address that is missing;
    ModuleNotFoundError where the package of PP-OCRv5 is not installed.
    """
    from moyin.ocr.tesseract import Tesseract
    from moyin.ocr.vision_language import Vision

    if name == "pp-ocrv5":
        return PaddleOCR()
    if name == "tesseract":
        return Tesseract()
    if name == "vision":
        if not url or not model:
            raise ValueError("the engine vision needs engine_url=URL and engine_model=NAME")
        return Vision(url=url, model=model)
    raise ValueError(f"no OCR engine {name} (there are: {', '.join(ENGINES)})")


def read_boxes(engine: Engine, image_hwc: Pixels, boxes: Sequence[Box]) -> list[Reading]:
    """What stands in each box of an image."""
    return [engine.recognise(crop(image_hwc, box)) for box in boxes]


def read_character(engine: Engine, image_hwc: Pixels, box: Box) -> str:
    """What a single character in a box of an image is read as, "" for nothing.

    Without neighbours an engine is easily wrong: where it is not sure it looks again, at more of
    the image and at fewer pixels, and the reading with the most confidence in sum is taken.
    """
    found: dict[str, float] = {}
    for view in views(image_hwc, box):
        reading = engine.recognise(view)
        if not found and reading.confidence >= SURE:
            return reading.text
        found[reading.text] = found.get(reading.text, 0.0) + reading.confidence
    return max(found, key=lambda text: found[text])


def views(image_hwc: Pixels, box: Box) -> list[Pixels]:
    """A character cut out closely, widely, and small. The cuts are square: a flat character such
    as 一 would be taken for a rule."""
    square = squared(box)
    close, wide = (crop(image_hwc, square, margin) for margin in (0.08, 0.5))
    small = Image.fromarray(crop(image_hwc, square))
    small.thumbnail((SMALL, SMALL), Image.Resampling.LANCZOS)
    return [close, wide, np.array(small)]


def squared(box: Box) -> Box:
    """The box made as wide as high, or as high as wide, about its middle."""
    left, top, right, bottom = box
    across, down = (left + right) / 2, (top + bottom) / 2
    half = max(right - left, bottom - top) / 2
    return across - half, down - half, across + half, down + half


def crop(image_hwc: Pixels, box: Box, margin: float = MARGIN) -> Pixels:
    """The box with a margin around it, of its shorter side, as far as the image goes."""
    left, top, right, bottom = (round(side) for side in box)
    edge = round(margin * min(right - left, bottom - top)) + 2
    return image_hwc[
        max(0, top - edge) : max(0, bottom) + edge,
        max(0, left - edge) : max(0, right) + edge,
    ]
