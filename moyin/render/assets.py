"""The included files: fonts, objects, photographs, characters and words."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from PIL import Image

FOLDER = Path(__file__).parent / "assets"


@dataclass(frozen=True)
class Name:
    """The name of an object in English, with its article, and in Chinese."""

    english: str
    chinese: str


# The included photographs (assets/README.md has their sources) and their subjects.
PHOTOGRAPHS = {
    "brick": Name("a brick wall", "砖墙"),
    "chelsea": Name("a cat", "猫咪"),
    "coffee": Name("a cup of coffee", "咖啡"),
    "grass": Name("grass", "草地"),
    "gravel": Name("gravel", "碎石"),
    "hubble_deep_field": Name("deep space", "星空"),
    "rocket": Name("a rocket launch", "火箭发射"),
}


@cache
def characters(level: int) -> tuple[str, ...]:
    """Level 1 (3500), 2 (3000) or 3 (1605) of China's table of general standard characters."""
    return _words(f"hanzi/level-{level}.txt")


@cache
def frequent_characters() -> tuple[str, ...]:
    """All 8105 characters of the three levels, the most frequent first."""
    return _words("hanzi/frequency.txt")


@cache
def chinese_words() -> tuple[str, ...]:
    """Words of two to four characters, the most frequent first."""
    return _words("text/words-zh.txt")


@cache
def traditional() -> dict[str, str]:
    """Traditional forms of characters, and of words in which a character has another form."""
    rows = _words("text/traditional.txt")
    return dict(zip(rows[::2], rows[1::2], strict=True))


@cache
def english_words() -> tuple[str, ...]:
    """Common English words of at most ten letters."""
    return _words("text/words-en.txt")


def _words(name: str) -> tuple[str, ...]:
    return tuple((FOLDER / name).read_text(encoding="utf-8").split())


@cache
def photograph(name: str) -> Image.Image:
    """An included photograph, RGB. Do not modify it."""
    return Image.open(FOLDER / "photographs" / f"{name}.jpg").convert("RGB")


@cache
def object_names() -> tuple[Name, ...]:
    """The names of all objects, in the order of their numbers."""
    rows = json.loads((FOLDER / "objects/objects.json").read_text(encoding="utf-8"))
    return tuple(Name(row["en"], row["zh"]) for row in rows)


@cache
def object_image(number: int) -> Image.Image:
    """Object `number`, 128x128 RGBA. Do not modify it."""
    content = _objects().read(f"{number:03d}.png")
    return Image.open(io.BytesIO(content)).convert("RGBA")


@cache
def _objects() -> zipfile.ZipFile:
    content = (FOLDER / "objects/objects.zip").read_bytes()
    return zipfile.ZipFile(io.BytesIO(content))
