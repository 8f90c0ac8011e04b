"""Images that a stage makes while it is trained, side by side in one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
GAP = 8  # pixels between images


def sheet(rows: Sequence[Sequence[Array]]) -> Array:
    """Rows of uint8 images [H, W, 3] as one image, white between them."""
    height = max(image.shape[0] for row in rows for image in row) + GAP
    width = max(image.shape[1] for row in rows for image in row) + GAP
    columns = max(map(len, rows))
    whole = np.full((height * len(rows) - GAP, width * columns - GAP, 3), 255, np.uint8)
    for i, row in enumerate(rows):
        for j, image in enumerate(row):
            h, w, _ = image.shape
            whole[i * height : i * height + h, j * width : j * width + w] = image
    return whole
