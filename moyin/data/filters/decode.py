"""Decoding: a file's bytes become RGB, or a reason why not."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from moyin.data.item import Item
from moyin.inference.rgb import rgb

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "PPM")
ENDINGS = {"jpg": "JPEG", "tif": "TIFF"}  # where the ending is not the format's name
ORIENTATION = 0x0112
DRAFT = 2048  # a JPEG with longer sides is decoded at a half, a quarter or an eighth of its size


class Decode:
    """Opens images of the common formats: upright, the first frame, alpha laid on white."""

    name = "decode"

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """megapixels: a larger image is dropped before it is decoded."""

        megapixels: float = 50.0

        def __post_init__(self) -> None:
            if not self.megapixels > 0:
                raise ValueError(f"megapixels is above 0, not {self.megapixels}")

        def build(self) -> Decode:
            return Decode(self)

    def __init__(self, config: Config) -> None:
        self.config = config

    def __call__(self, items: Sequence[Item]) -> list[Item]:
        return [sized(item) if item.rendered else self._decoded(item) for item in items]

    def _decoded(self, item: Item) -> Item:
        if not item.content:
            return self._drop(item, "empty file")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of broken metadata, which is not looked at
                return self._opened(item)
        except UnidentifiedImageError:
            return self._drop(item, "no image")
        except Image.DecompressionBombError as error:
            return self._drop(item, "too many pixels", str(error))
        # Decoders raise whatever a broken file makes them run into.
        except Exception as error:
            return self._drop(item, "damaged", f"{type(error).__name__}: {error}")

    def _opened(self, item: Item) -> Item:
        with Image.open(io.BytesIO(item.content), formats=FORMATS) as file:
            pixels = file.width * file.height
            if pixels > self.config.megapixels * 1e6:
                return self._drop(item, "too many pixels", f"{file.width}x{file.height}")
            noted = item.noted(*_notes(item.key, file)).with_values(
                source_height=file.height, source_width=file.width
            )
            file.draft("RGB", (DRAFT, DRAFT))
            image = np.array(rgb(ImageOps.exif_transpose(file)))
        return replace(noted.with_sample(image=image), content=b"")

    def _drop(self, item: Item, reason: str, detail: str = "") -> Item:
        return replace(item, content=b"").drop(self.name, reason, detail)


def sized(item: Item) -> Item:
    """An image that is there already, with its size as its source's."""
    height, width = item.sample.image.shape[:2]
    return item.with_values(source_height=height, source_width=width)


def _notes(key: str, file: Image.Image) -> Iterator[str]:
    """What is mended on the way to upright RGB."""
    ending = PurePosixPath(key).suffix[1:].lower()
    if ending in (*ENDINGS, *(name.lower() for name in FORMATS)):
        told = ENDINGS.get(ending, ending.upper())
        if told != file.format:
            yield f"a {file.format} named .{ending}"
    if getattr(file, "n_frames", 1) > 1:
        yield "first frame of several"
    if file.mode == "CMYK":
        yield "was CMYK"
    elif file.mode.startswith(("I", "F")):
        yield "was 16 bit or more"
    elif file.has_transparency_data:
        yield "alpha laid on white"
    if file.getexif().get(ORIENTATION, 1) != 1:
        yield "turned upright"
