"""Images from anywhere: read safely, looked up by name in a folder, shrunk for a report."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from moyin.evaluate.task import Item
from moyin.ocr.result import Pixels

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
FORMATS = ("PNG", "JPEG", "WEBP")
LARGEST = 2**26  # bytes of a file, and pixels of an image
SIDE = 2048  # pixels of the longest side that is read
THUMBNAIL = 320


class Unreadable(ValueError):
    """A file that is no image, or one too large to be read."""


def load(path: Path) -> Pixels:
    """uint8 [H, W, 3], what is transparent on white, scaled down to 2048 pixels at most.

    Raises Unreadable, which says why.
    """
    with _opened(path) as image:
        image.draft("RGB", (SIDE, SIDE))  # a JPEG is decoded small at once
        return _pixels(image)


def tiles(path: Path, columns: int, rows: int) -> list[Pixels | None]:
    """The images of one file that holds several side by side, row by row, each as `load` gives
    it; None for one that is black all over, with which a sheet is filled up.

    Raises Unreadable as `load` does.
    """
    with _opened(path) as image:
        width, height = image.width // columns, image.height // rows
        if not width or not height:
            raise Unreadable(f"too small to hold {columns}x{rows} images")
        found: list[Pixels | None] = []
        for number in range(columns * rows):
            left, top = number % columns * width, number // columns * height
            pixels = _pixels(image.crop((left, top, left + width, top + height)))
            found.append(pixels if pixels.any() else None)
        return found


def parse_tiles(told: str) -> tuple[int, int]:
    """Columns and rows of `COLUMNSxROWS`, such as 2x2."""
    match = re.fullmatch(r"([1-9])x([1-9])", told)
    if match is None:
        raise ValueError(f"tiles must be COLUMNSxROWS, such as 2x2, not {told}")
    return int(match[1]), int(match[2])


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The file as Pillow has it before it is decoded; what goes wrong within is Unreadable."""
    try:
        size = path.stat().st_size
        if size > LARGEST:
            raise Unreadable(f"{size >> 20} MB, more than the {LARGEST >> 20} MB that are read")
        with warnings.catch_warnings(), Image.open(path, formats=FORMATS) as image:
            warnings.simplefilter("ignore")
            if image.width * image.height > LARGEST:
                raise Image.DecompressionBombError
            yield image
    except UnidentifiedImageError:
        raise Unreadable("no PNG, JPEG or WebP") from None
    except Image.DecompressionBombError:
        raise Unreadable(f"more than the {LARGEST >> 20} million pixels that are read") from None
    except (OSError, SyntaxError, EOFError, MemoryError) as e:
        raise Unreadable(f"broken: {e}") from None


def _pixels(image: Any) -> Pixels:
    if image.mode.startswith("I"):  # grey of 16 bits, which Pillow would cut off at 255
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA", "P"):
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    image = image.convert("RGB")
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    return np.array(image)


def save_thumbnail(image_hwc: Pixels, path: Path, side: int = THUMBNAIL) -> None:
    """A small JPEG for the report, of at most `side` pixels each way."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(image_hwc)
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    image.save(path, "JPEG", quality=85)


class Folder:
    """Images that somebody else made, by their names.

    Image r of a prompt is `<id>_<r>`, or `<id>` for the first, at any depth; or it lies as the
    benchmark's own evaluator wants it, such as `CVTG/2/0.png`. Raises ValueError where there is
    no folder or no image in it.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise ValueError(f"{folder} is no folder of images")
        self.folder = folder
        found = [p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file()]
        if not found:
            raise ValueError(f"{folder} holds no images ({', '.join(SUFFIXES)})")
        self._paths: dict[str, Path] = {}
        for path in sorted(found, reverse=True):
            self._paths[path.stem] = path
            self._paths[path.relative_to(folder).with_suffix("").as_posix()] = path

    def path(self, item: Item, repeat: int) -> Path | None:
        """None where there is no such image."""
        names = [f"{stem}_{repeat}" for stem in (item.id, item.stem) if stem]
        names += [stem for stem in (item.id, item.stem) if stem and repeat == 0]
        return next((self._paths[name] for name in names if name in self._paths), None)

    def repeats(self, items: Sequence[Item]) -> int:
        """The most images that any of these prompts has."""
        most = 1
        for item in items:
            while self.path(item, most) is not None:
                most += 1
        return most
