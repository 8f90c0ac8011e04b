"""Fonts: the included ones, those of a folder or of the system, and their coverage."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from fontTools.ttLib import TTFont
from PIL import ImageFont

from moyin.render import assets

SYSTEM_FOLDERS = {
    "darwin": ("/System/Library/Fonts", "/Library/Fonts", "~/Library/Fonts"),
    "win32": ("C:/Windows/Fonts",),
}.get(sys.platform, ("/usr/share/fonts", "/usr/local/share/fonts", "~/.local/share/fonts"))


SUFFIXES = (".ttf", ".otf", ".ttc", ".woff", ".woff2")
STYLES = {
    "hei": ("hei", "sans", "gothic", "anton", "huangyou"),
    "song": ("song", "serif", "ming", "slab"),
    "kai": ("kai",),
    "brush": ("brush", "mashanzheng", "xing", "cao"),
    "rounded": ("round", "yuan", "kuaile"),
}  # words in the names of fonts of each style; if several match, the last style counts


@dataclass(frozen=True)
class Font:
    """One font of a file. number: its index within a collection (.ttc)."""

    name: str
    path: Path
    number: int = 0

    @property
    def style(self) -> str:
        """One of STYLES, by the name of its folder or its own; empty if unknown."""
        if self.path.parent.name in STYLES:
            return self.path.parent.name
        return style(self.name)


@cache
def style(name: str) -> str:
    """The style in STYLES that a font's name indicates; empty if unknown."""
    lower = name.lower()
    matches = [style for style, words in STYLES.items() if any(word in lower for word in words)]
    return matches[-1] if matches else ""


@cache
def shipped() -> dict[str, Font]:
    """The included fonts by name. With these, images are the same on every machine."""
    return _named(sorted((assets.FOLDER / "fonts").glob("*.woff2")))


@cache
def system(folders: tuple[str, ...] = SYSTEM_FOLDERS) -> dict[str, Font]:
    """The outline fonts in the system's font folders, by name."""
    paths = [path for folder in folders for path in Path(folder).expanduser().rglob("*")]
    return _named(sorted(p for p in paths if p.suffix.lower() in SUFFIXES))


def _named(paths: Iterable[Path]) -> dict[str, Font]:
    return {path.stem: Font(path.stem, path) for path in paths}


def find(names: Iterable[str], folder: str = "") -> tuple[Font, ...]:
    """The fonts with these names: the included ones, those in `folder`, and the system's.

    Without names, all included fonts and those in `folder`. ValueError for an unknown name, or if
    the folder has no fonts.
    """
    in_folder = system((folder,)) if folder else {}
    if folder and not in_folder:
        raise ValueError(f"no fonts in {folder} (.ttf, .otf, .ttc, .woff or .woff2)")
    available = {**in_folder, **shipped()}
    fonts = []
    for name in names:
        font = available.get(name) or system().get(name)
        if font is None:
            raise ValueError(f"no font {name!r}; available: {', '.join(available)}")
        fonts.append(font)
    return tuple(fonts or available.values())


def digests(folder: str) -> dict[str, str]:
    """SHA-256 of the files of all fonts in a folder, by name."""
    return {
        name: hashlib.sha256(font.path.read_bytes()).hexdigest()
        for name, font in system((folder,)).items()
    }


@cache
def _coverage(font: Font) -> frozenset[str]:
    with TTFont(font.path, fontNumber=font.number, lazy=True) as file:
        return frozenset(map(chr, file.getBestCmap()))


def covers(font: Font, text: str) -> bool:
    """Whether the font has a glyph for every character of `text`."""
    return _coverage(font).issuperset(text)


@cache
def load_font(font: Font, size: int) -> ImageFont.FreeTypeFont:
    """The font at `size` pixels per em, with the basic layout, which every build of Pillow has."""
    basic = ImageFont.Layout.BASIC
    return ImageFont.truetype(font.path, size, index=font.number, layout_engine=basic)
