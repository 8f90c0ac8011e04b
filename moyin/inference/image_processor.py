"""Images before the networks: opened, converted to RGB, resized and normalized.

The semantic tokenizer sees an image scaled to a shortest side of at least 512 pixels and a longest
of at most 2048, in steps of 32, and halved; the autoencoder takes what it is given. So a reference
image is resized to such a size once, by `fit`, and both networks see the same 32×32 squares.

Importing this module imports no framework.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from moyin.checkpoint.processor import CLIP_MEAN, CLIP_STD
from moyin.prompt.grid import Grid, format_size

Array = np.ndarray[Any, Any]

SHORTEST, LONGEST, ASPECT = 512, 2048, 4
PATCH = 16
PREPROCESSING = 1  # incremented whenever resizing or normalization changes

MAX_PIXELS = 50_000_000  # of a file that is opened
MIN_SIDE = 32  # pixels
WHITE = (255, 255, 255, 255)


def open_image(path: Path) -> Array:
    """An image file as uint8 RGB [H, W, 3], rotated by its EXIF orientation, alpha over white.

    ValueError for what is no image, is cut short, has a side below 32 pixels or longer than four
    times the other, or more than 50 megapixels.
    """
    limit = f"{MAX_PIXELS / 1e6:.0f} megapixels at most"
    too_large = ValueError(f"{path} is too large: scale it down to {limit}")
    try:
        with warnings.catch_warnings():
            # Our limit is lower.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            file = Image.open(path)
        with file:
            width, height = file.size
            if width * height > MAX_PIXELS:
                raise too_large
            upright = to_rgb(ImageOps.exif_transpose(file))
    except Image.DecompressionBombError:
        raise too_large from None
    except FileNotFoundError:
        raise ValueError(f"no image at {path}") from None
    except (OSError, SyntaxError) as e:
        raise ValueError(
            f"{path} cannot be read as an image ({e}): save it as PNG or JPEG, or fetch it again"
        ) from None
    try:
        return _checked(np.array(upright))
    except ValueError as e:
        raise ValueError(f"{path}: {e}") from None


def as_pixels(image: Any) -> Array:
    """A PIL image, or an array uint8 [H, W, 3 or 4], [H, W] or float in [0, 1], as uint8 RGB.

    ValueError for anything else, and for sizes that `open_image` refuses.
    """
    if not isinstance(image, Image.Image):
        array = np.asarray(image)
        if array.dtype.kind == "f":
            array = np.round(np.clip(array, 0, 1) * 255).astype(np.uint8)
        channels = array.shape[2:] or (1,)
        if array.dtype != np.uint8 or array.ndim not in (2, 3) or channels[0] not in (1, 3, 4):
            raise ValueError(
                "an image must be a PIL image or an array [H, W, 3] of uint8 or of floats in "
                f"[0, 1], not {type(image).__name__} {array.dtype}{list(array.shape)}"
            )
        image = Image.fromarray(array[..., 0] if channels == (1,) and array.ndim == 3 else array)
    return _checked(np.array(to_rgb(ImageOps.exif_transpose(image))))


def _checked(image_hwc: Array) -> Array:
    height, width = image_hwc.shape[:2]
    if min(height, width) < MIN_SIDE:
        size = format_size(height, width)
        raise ValueError(f"an image of {size} is too small: its sides must reach {MIN_SIDE} pixels")
    fitted_grid(image_hwc)
    return image_hwc


def to_rgb(image: Image.Image) -> Image.Image:
    """Any mode as RGB: alpha over white, deeper channels scaled to 8 bits."""
    if image.mode.startswith(("I", "F")):  # 16 bits a channel, which Pillow would cut off
        levels = np.asarray(image, np.float64)
        top = 1.0 if image.mode == "F" else 65535.0
        eight = np.round(np.clip(levels / top, 0, 1) * 255).astype(np.uint8)
        return Image.fromarray(eight).convert("RGB")
    if image.has_transparency_data:
        ground = Image.new("RGBA", image.size, WHITE)
        return Image.alpha_composite(ground, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")


def tokenizer_size(height: int, width: int) -> tuple[int, int]:
    """Height and width at which the semantic tokenizer sees an image, multiples of 16 pixels.

    The image is scaled to a shortest side of at least 512 and a longest of at most 2048, and
    halved. ValueError for a side below 16 or an aspect ratio above 4.
    """
    size = format_size(height, width)
    if min(height, width) < PATCH:
        raise ValueError(f"an image of {size} is too small: its sides must reach 16")
    if max(height, width) > ASPECT * min(height, width):
        raise ValueError(f"an image of {size} is too long: crop it to 4 to 1 at most")
    scale = max(1.0, SHORTEST / min(height, width))
    if max(height, width) * scale > LONGEST:
        scale = LONGEST / max(height, width)

    def side(pixels: int) -> int:
        return max(PATCH, round(pixels // 2 * scale / PATCH) * PATCH)

    return side(height), side(width)


def fitted_grid(image_hwc: Array) -> Grid:
    """The token grid of an image [H, W, 3]; raises as `tokenizer_size`."""
    rows, columns = (side // PATCH for side in tokenizer_size(*image_hwc.shape[:2]))
    return Grid(rows, columns)


def fit(image_hwc: Array) -> Array:
    """The image resized to its grid, both sides multiples of 32; raises as `tokenizer_size`."""
    grid = fitted_grid(image_hwc)
    if image_hwc.shape[:2] == (grid.height, grid.width):
        return image_hwc
    scaled = Image.fromarray(image_hwc).resize((grid.width, grid.height), Image.Resampling.BICUBIC)
    return np.array(scaled)


def preprocess(image_hwc: Array, size: tuple[int, int] | None = None) -> Array:
    """uint8 [H, W, 3] → normalized float32 [3, h, w] as the semantic tokenizer takes it.

    size: h and w, for an image smaller than references may be.
    """
    height, width = size or tokenizer_size(*image_hwc.shape[:2])
    small = Image.fromarray(image_hwc).resize((width, height), Image.Resampling.BICUBIC)
    mean, std = np.array(CLIP_MEAN, np.float32), np.array(CLIP_STD, np.float32)
    normalized = (np.asarray(small, np.float32) / 255 - mean) / std
    return np.ascontiguousarray(normalized.transpose(2, 0, 1))
