"""Hashes that find copies of an image: an exact one of the pixels, and a perceptual one."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from PIL import Image

from moyin.data.item import Item
from moyin.dataset.sample import Pixels

Array = np.ndarray[Any, Any]
COARSE, FINE = 8, 16  # lowest frequencies per axis of the two hashes: 64 and 256 bits
SIDE = 64  # pixels to which the image is scaled


class ImageHash:
    """Adds `pixel_hash`, a digest of the pixels, and `phash`, the perceptual hash, in hex."""

    name = "image_hash"

    @dataclass(frozen=True, kw_only=True)
    class Config:
        def build(self) -> ImageHash:
            return ImageHash()

    def __call__(self, items: Sequence[Item]) -> list[Item]:
        return [
            item.with_values(
                pixel_hash=pixel_hash(item.sample.image), phash=phash(item.sample.image)
            )
            for item in items
        ]


def pixel_hash(image: Pixels) -> str:
    """64 bits of a SHA-256 over size and pixels, in hex."""
    digest = hashlib.sha256(repr(image.shape).encode() + np.ascontiguousarray(image).data)
    return digest.hexdigest()[:16]


def phash(image: Pixels) -> str:
    """A coarse and a fine pHash of 64 and 256 bits, in hex (Zauner 2010).

    Each bit says whether one of the lowest frequencies of the image, scaled to 64x64, is above
    their median. The coarse hash finds candidates; the fine one decides whether they are copies.
    """
    small = Image.fromarray(image).convert("L").resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    cosines = _cosines()
    frequencies = cosines @ np.asarray(small, np.float64) @ cosines.T
    return "".join(_bits(frequencies[:side, :side]).tobytes().hex() for side in (COARSE, FINE))


def distance(first: str, second: str) -> int:
    """Number of different bits of two hashes in hex."""
    return (int(first, 16) ^ int(second, 16)).bit_count()


def _bits(frequencies: Array) -> Array:
    return np.packbits(frequencies > np.median(frequencies))


@cache
def _cosines() -> Array:
    """The first rows of the discrete cosine transform (DCT-II) of 64 values, [16, 64]."""
    rows, columns = np.arange(FINE)[:, None], np.arange(SIDE)[None]
    cosines: Array = np.cos(np.pi * (2 * columns + 1) * rows / (2 * SIDE))
    return cosines
