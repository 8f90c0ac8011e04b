"""Reference images for editing: opened from files, and brought to a size all networks agree on.

The tokenizer scales an image to a shortest side of at least 512 pixels and a longest of at most
2048, in steps of 32; the autoencoder takes what it is given. So a reference is scaled to such a
size once, by `fitted`, and both then see the same squares.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from moyin.inference.image_processor import PATCH, seen_size
from moyin.inference.rgb import rgb
from moyin.prompt.grid import Grid

Array = np.ndarray[Any, Any]

MOST = 50_000_000  # pixels of a file that is opened
LEAST = 32  # pixels of a side


def open_image(path: Path) -> Array:
    """An image file as uint8 RGB [H, W, 3]: turned as its EXIF says, alpha laid on white.

    Raises ValueError for what is no image, is cut short, has a side below 32 pixels or longer
    than four times the other, or more than 50 megapixels.
    """
    large = ValueError(f"{path} is too large: scale it down to {MOST / 1e6:.0f} megapixels at most")
    try:
        with warnings.catch_warnings():
            # Ours is the lower limit.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            file = Image.open(path)
        with file:
            width, height = file.size
            if width * height > MOST:
                raise large
            upright = rgb(ImageOps.exif_transpose(file))
    except Image.DecompressionBombError:
        raise large from None
    except FileNotFoundError:
        raise ValueError(f"no image at {path}") from None
    except (OSError, SyntaxError) as e:
        raise ValueError(
            f"{path} cannot be read as an image ({e}): save it as PNG or JPEG, or fetch it again"
        ) from None
    if min(upright.size) < LEAST:
        raise ValueError(f"{path} is {width}x{height}: its sides must reach {LEAST} pixels")
    image = np.array(upright)
    try:
        fitted_grid(image)
    except ValueError as e:
        raise ValueError(f"{path}: {e}") from None
    return image


def fitted_grid(image_hwc: Array) -> Grid:
    """The ids of an image [H, W, 3] as the tokenizer reads it.

    ValueError for a side below 16 or longer than four times the other.
    """
    rows, columns = (side // PATCH for side in seen_size(*image_hwc.shape[:2]))
    return Grid(rows, columns)


def fitted(image_hwc: Array) -> Array:
    """The image at the size of its grid, both sides multiples of 32; raises as `fitted_grid`."""
    grid = fitted_grid(image_hwc)
    if image_hwc.shape[:2] == (grid.height, grid.width):
        return image_hwc
    scaled = Image.fromarray(image_hwc).resize((grid.width, grid.height), Image.Resampling.BICUBIC)
    return np.array(scaled)
