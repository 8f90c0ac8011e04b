"""Reference pictures for editing: opened from files, and brought to a size all networks agree on.

The tokenizer scales a picture to a shortest side of at least 512 pixels and a longest of at most
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


def open_picture(path: Path) -> Array:
    """A picture file as uint8 RGB [H, W, 3]: turned as its EXIF says, alpha laid on white.

    Raises ValueError for what is no picture, is cut short, has a side below 32 pixels or longer
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
        raise ValueError(f"no picture at {path}") from None
    except (OSError, SyntaxError) as e:
        raise ValueError(
            f"{path} cannot be read as a picture ({e}): save it as PNG or JPEG, or fetch it again"
        ) from None
    if min(upright.size) < LEAST:
        raise ValueError(f"{path} is {width}x{height}: its sides must reach {LEAST} pixels")
    picture = np.array(upright)
    try:
        fitted_grid(picture)
    except ValueError as e:
        raise ValueError(f"{path}: {e}") from None
    return picture


def fitted_grid(picture_hwc: Array) -> Grid:
    """The ids of a picture [H, W, 3] as the tokenizer reads it.

    ValueError for a side below 16 or longer than four times the other.
    """
    rows, columns = (side // PATCH for side in seen_size(*picture_hwc.shape[:2]))
    return Grid(rows, columns)


def fitted(picture_hwc: Array) -> Array:
    """The picture at the size of its grid, both sides multiples of 32; raises as `fitted_grid`."""
    grid = fitted_grid(picture_hwc)
    if picture_hwc.shape[:2] == (grid.height, grid.width):
        return picture_hwc
    scaled = Image.fromarray(picture_hwc).resize(
        (grid.width, grid.height), Image.Resampling.BICUBIC
    )
    return np.array(scaled)
