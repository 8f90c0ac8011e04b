"""Images as the semantic tokenizer sees them: resized, halved and normalised; and their ids."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from moyin.backend import autograd, ops
from moyin.models.semantic_tokenizer import SemanticTokenizer
from moyin.prompt.grid import format_size

# CLIP's statistics (Radford et al. 2021), which GLM-Image's processor uses.
MEAN = np.array([0.48145466, 0.4578275, 0.40821073], np.float32)
DEVIATION = np.array([0.26862954, 0.26130258, 0.27577711], np.float32)
SHORTEST, LONGEST, ASPECT = 512, 2048, 4
PATCH = 16
PREPROCESSING = 1  # goes up whenever an image is resized or normalised otherwise


def seen_size(height: int, width: int) -> tuple[int, int]:
    """Rows and columns of pixels that the tokenizer sees of an image, multiples of 16.

    The image is scaled to a shortest side of at least 512 and a longest of at most 2048, and
    halved. ValueError for a side below 16 or an aspect beyond 4.
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


def preprocess(
    image: np.ndarray[Any, Any], size: tuple[int, int] | None = None
) -> np.ndarray[Any, Any]:
    """uint8 [H, W, 3] → float32 [3, h, w] as the tokenizer takes it.

    size: h and w, for an image that may be smaller than the tokenizer takes references to be.
    """
    height, width = size or seen_size(*image.shape[:2])
    small = Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC)
    normal = (np.asarray(small, np.float32) / 255 - MEAN) / DEVIATION
    return np.ascontiguousarray(normal.transpose(2, 0, 1))


def semantic_ids(
    network: SemanticTokenizer,
    images: list[np.ndarray[Any, Any]],
    size: tuple[int, int] | None = None,
) -> np.ndarray[Any, Any]:
    """Ids [B, rows, columns] uint16 of images of one size, uint8 [H, W, 3] each; size as for
    `preprocess`."""
    with autograd.no_grad():
        pixels = ops.asarray(np.stack([preprocess(p, size) for p in images]))
        return ops.numpy(network.encode(pixels)).astype(np.uint16)
