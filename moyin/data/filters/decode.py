"""Decode files to upright RGB images, or drop them with a reason."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from moyin.data.item import Item
from moyin.inference.image_processor import to_rgb

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "PPM")
SUFFIXES = {"jpg": "JPEG", "tif": "TIFF"}  # suffixes that differ from the format's name
ORIENTATION = 0x0112
DRAFT = 2048  # pixels; a JPEG with longer sides is decoded at 1/2, 1/4 or 1/8 of its size


class Decode:
    """Decodes common formats: the first frame, rotated upright, alpha composited on white."""

    name = "decode"

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """megapixels: a larger image is dropped before it is decoded."""

        megapixels: float = 50.0

        def __post_init__(self) -> None:
            if not self.megapixels > 0:
                raise ValueError(f"megapixels must be above 0, not {self.megapixels}")

        def build(self) -> Decode:
            return Decode(self)

    def __init__(self, config: Config) -> None:
        self.config = config

    def __call__(self, items: Sequence[Item]) -> list[Item]:
        return [with_source_size(item) if item.rendered else self._decode(item) for item in items]

    def _decode(self, item: Item) -> Item:
        if not item.content:
            return self._drop(item, "empty file")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about broken metadata, which is not used
                return self._open(item)
        except UnidentifiedImageError:
            return self._drop(item, "no image")
        except Image.DecompressionBombError as error:
            return self._drop(item, "too many pixels", str(error))
        # Decoders raise errors of any kind on damaged files.
        except Exception as error:
            return self._drop(item, "damaged", f"{type(error).__name__}: {error}")

    def _open(self, item: Item) -> Item:
        with Image.open(io.BytesIO(item.content), formats=FORMATS) as file:
            pixels = file.width * file.height
            if pixels > self.config.megapixels * 1e6:
                return self._drop(item, "too many pixels", f"{file.width}x{file.height}")
            item = item.with_notes(*_repairs(item.key, file)).with_values(
                source_height=file.height, source_width=file.width
            )
            file.draft("RGB", (DRAFT, DRAFT))
            image = np.array(to_rgb(ImageOps.exif_transpose(file)))
        return replace(item.with_sample(image=image), content=b"")

    def _drop(self, item: Item, reason: str, detail: str = "") -> Item:
        return replace(item, content=b"").drop(self.name, reason, detail)


def with_source_size(item: Item) -> Item:
    """An item that is already decoded, with its size as the size of its source."""
    height, width = item.sample.image.shape[:2]
    return item.with_values(source_height=height, source_width=width)


def _repairs(key: str, file: Image.Image) -> Iterator[str]:
    """What the conversion to upright RGB changes."""
    suffix = PurePosixPath(key).suffix[1:].lower()
    if suffix in (*SUFFIXES, *(name.lower() for name in FORMATS)):
        named = SUFFIXES.get(suffix, suffix.upper())
        if named != file.format:
            yield f"a {file.format} file named .{suffix}"
    if getattr(file, "n_frames", 1) > 1:
        yield "first frame of several"
    if file.mode == "CMYK":
        yield "converted from CMYK"
    elif file.mode.startswith(("I", "F")):
        yield "converted from 16 bit or more"
    elif file.has_transparency_data:
        yield "alpha composited on white"
    if file.getexif().get(ORIENTATION, 1) != 1:
        yield "rotated upright"
