"""A folder of pictures with captions, made into a store that training reads.

FOLDER/name.png (or .jpg, .jpeg, .webp) with its captions in FOLDER/name.txt, one a line; what a
picture says stands there in quotes, as in a prompt.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from rich.progress import track

from moyin.data.sample import Sample
from moyin.data.store import Store

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


def pictures(folder: Path) -> list[Path]:
    """The pictures of a folder in order of their names."""
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file())


def store_of(folder: Path, out: Path, size: tuple[int, int]) -> Store:
    """The folder's pictures at one size (height, width) as the store `out`, made once.

    Pictures are scaled to cover the size, and what stands over is cut off evenly. ValueError for
    a folder without pictures, a picture that cannot be read or has no caption, and where `out`
    holds other pictures.
    """
    files = pictures(folder)
    if not files:
        raise ValueError(f"{folder} is no store, and holds no pictures ({', '.join(SUFFIXES)})")
    total = hashlib.sha256(repr(size).encode())
    captions = [_captions(file) for file in files]
    for file, said in zip(files, captions, strict=True):
        total.update(file.name.encode() + file.read_bytes() + repr(said).encode())
    digest = total.hexdigest()
    if (out / "store.json").exists() and Store.open(out).column("picture").digest != digest:
        raise ValueError(
            f"{out} was made of other pictures than {folder} holds now, or at another size: "
            "give the training an out= of its own"
        )
    store = Store.create(out, {"from": folder.name}, seed=0, count=len(files), digest=digest)
    left = range(len(store), len(files))

    def samples() -> Iterator[Sample]:
        for number in track(left, description=f"reading {folder}"):
            yield _sample(files[number], captions[number], size, number)

    if left:
        store.append(samples())
    return store


def _captions(picture: Path) -> tuple[str, ...]:
    beside = picture.with_suffix(".txt")
    if not beside.is_file():
        raise ValueError(f"{picture} has no caption: write what it shows into {beside.name}")
    try:
        text = beside.read_text("utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"{beside} is no text in UTF-8") from None
    lines = tuple(x for line in text.splitlines() if (x := line.strip()))
    if not lines:
        raise ValueError(f"{beside} is empty: write what {picture.name} shows")
    return lines


def _sample(file: Path, captions: tuple[str, ...], size: tuple[int, int], number: int) -> Sample:
    height, width = size
    try:
        with Image.open(file) as image:
            whole = ImageOps.exif_transpose(image).convert("RGB")
    except (OSError, ValueError, Image.DecompressionBombError) as e:
        raise ValueError(f"{file} cannot be read as a picture: {e}") from None
    fitted = ImageOps.fit(whole, (width, height), Image.Resampling.LANCZOS)
    return Sample(
        picture=np.asarray(fitted),
        captions=captions,
        lines=(),
        background={"kind": "picture"},
        objects=(),
        seed=0,
        index=number,
    )
