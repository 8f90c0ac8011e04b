"""The types that all OCR engines share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Pixels = np.ndarray[Any, np.dtype[np.uint8]]  # [H, W, 3] RGB
Box = tuple[float, float, float, float]  # left, top, right, bottom, in pixels


@dataclass(frozen=True)
class OCRResult:
    """The text of one line. confidence: the engine's own estimate, in [0, 1]."""

    text: str
    confidence: float


@dataclass(frozen=True)
class OCRLine(OCRResult):
    """A line that was located in an image, with its bounding box."""

    box: Box
