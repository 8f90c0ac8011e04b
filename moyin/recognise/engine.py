"""The interface of all OCR engines, and the ways of reading with one.

A whole picture is searched for lines; where the place of a text is known, its box is cut out and
read alone, which also works for single characters.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from moyin.recognise import ocr
from moyin.recognise.ocr import Box, Pixels, Reading

MARGIN = 0.15  # around a box that is cut out, of its shorter side
ENGINES = ("pp-ocrv5", "tesseract", "vision")


class Engine(Protocol):
    """Pictures are uint8 RGB [H, W, 3]. name: as reports name it, with its version."""

    @property
    def name(self) -> str: ...

    def read(self, picture_hwc: Pixels) -> Sequence[Reading]:
        """The lines found in a whole picture, from top to bottom."""
        ...

    def recognise(self, crop_hwc: Pixels) -> Reading:
        """What a crop of one line says; its text is empty where it says nothing."""
        ...


class PaddleOCR:
    """PP-OCRv5 mobile, the default: the same words from the same pixels everywhere."""

    def __init__(self) -> None:
        self.name = ocr.name()

    def read(self, picture_hwc: Pixels) -> Sequence[Reading]:
        return ocr.read(picture_hwc)

    def recognise(self, crop_hwc: Pixels) -> Reading:
        return ocr.recognise(crop_hwc)


def find(name: str, url: str | None = None, model: str | None = None) -> Engine:
    """The engine of a name of `ENGINES`; url and model are those of `vision`, a vision-language
    model behind a chat endpoint.

    Raises ValueError for an unknown name, and for a program or address that is missing;
    ModuleNotFoundError where the package of PP-OCRv5 is not installed.
    """
    from moyin.recognise.tesseract import Tesseract
    from moyin.recognise.vision import Vision

    if name == "pp-ocrv5":
        return PaddleOCR()
    if name == "tesseract":
        return Tesseract()
    if name == "vision":
        if not url or not model:
            raise ValueError("the engine vision needs engine_url=URL and engine_model=NAME")
        return Vision(url=url, model=model)
    raise ValueError(f"no OCR engine {name} (there are: {', '.join(ENGINES)})")


def read_boxes(engine: Engine, picture_hwc: Pixels, boxes: Sequence[Box]) -> list[Reading]:
    """What stands in each box of a picture."""
    return [engine.recognise(crop(picture_hwc, box)) for box in boxes]


def crop(picture_hwc: Pixels, box: Box) -> Pixels:
    """The box with a margin around it, as far as the picture goes."""
    left, top, right, bottom = (round(edge) for edge in box)
    margin = round(MARGIN * min(right - left, bottom - top)) + 2
    return picture_hwc[
        max(0, top - margin) : max(0, bottom) + margin,
        max(0, left - margin) : max(0, right) + margin,
    ]
