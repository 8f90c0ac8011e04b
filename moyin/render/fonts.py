"""Fonts: the ones that ship, the system's when asked, and what each of them can write."""

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
}  # and what is in the names of such fonts; the later ones tell more


@dataclass(frozen=True)
class Font:
    """One face of a font file; `number` counts within a collection (.ttc)."""

    name: str
    path: Path
    number: int = 0

    @property
    def style(self) -> str:
        """One of STYLES, by the folder it is in, or else by its name; empty where neither says."""
        if self.path.parent.name in STYLES:
            return self.path.parent.name
        return style(self.name)


@cache
def style(name: str) -> str:
    """One of STYLES that the name of a font tells, or nothing."""
    told = [known for known, words in STYLES.items() if any(word in name.lower() for word in words)]
    return told[-1] if told else ""


@cache
def shipped() -> dict[str, Font]:
    """The fonts that come with the package, by name: the same images everywhere."""
    return _named(sorted((assets.FOLDER / "fonts").glob("*.woff2")))


@cache
def system(folders: tuple[str, ...] = SYSTEM_FOLDERS) -> dict[str, Font]:
    """The outline fonts found in the system's font folders, by name."""
    paths = [path for folder in folders for path in Path(folder).expanduser().rglob("*")]
    return _named(sorted(p for p in paths if p.suffix.lower() in SUFFIXES))


def _named(paths: Iterable[Path]) -> dict[str, Font]:
    return {path.stem: Font(path.stem, path) for path in paths}


def find(names: Iterable[str], folder: str = "") -> tuple[Font, ...]:
    """The fonts of these names, from those that ship, those in `folder` and the system's, in this
    order; without names all of the first two. ValueError names one that is not there."""
    own = system((folder,)) if folder else {}
    if folder and not own:
        raise ValueError(f"no fonts in {folder}: .ttf, .otf, .ttc, .woff and .woff2 are read")
    near = {**own, **shipped()}
    found = []
    for name in names:
        font = near.get(name) or system().get(name)
        if font is None:
            raise ValueError(f"no font {name!r}; there are {', '.join(near)}")
        found.append(font)
    return tuple(found or near.values())


def digests(folder: str) -> dict[str, str]:
    """SHA-256 of the files of the fonts in a folder, by name."""
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
    """The font opened at `size` pixels an em, by Pillow's basic layout, which every build has."""
    basic = ImageFont.Layout.BASIC
    return ImageFont.truetype(font.path, size, index=font.number, layout_engine=basic)
