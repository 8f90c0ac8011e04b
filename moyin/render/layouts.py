"""Layouts such as menus and tickets, each a TOML file in assets/layouts.

Boxes are (left, top, right, bottom) as shares of the sheet's width and height; ems, widths and
radii are shares of its shorter side.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from moyin.dataset.sample import Box
from moyin.ocr.colours import COLOURS
from moyin.render import assets

FREE = "free"  # name for lines placed freely, without a layout
Span = tuple[float, float]  # minimum and maximum


@dataclass(frozen=True, kw_only=True)
class Region:
    """The area of one text."""

    kind: str  # kind of text, one of `phrases.KINDS`
    box: Box
    ems: Span
    role: str = ""  # its name in captions, one of `captions.ROLES`
    share: float = 1.0  # share of images that have it
    rows: bool = False  # repeated for each row of the layout, from top to bottom of its box
    sides: bool = False  # rows alternate between left and right
    inset: float = 0.0  # distance from the edges of its box, or of each row's box
    lines: int = 1  # maximum rows of text
    align: str = "middle"  # left, middle or right
    vertical: float = 0.0  # share of texts set in columns
    effects: tuple[str, ...] = ()  # possible effects: outline, shadow, gradient, turn, arch
    main: bool = False  # shows the required characters (`character_schedule`)


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A shape under the text.

    fill, edge: name of a colour; "ink", a colour that is legible on the background; "bubble", white
    or green, alternating with the side; empty for none.
    """

    box: Box
    fill: str = ""
    edge: str = ""
    width: float = 0.012
    round: float = 0.0
    rows: bool = False
    sides: bool = False
    inset: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Layout:
    """english, chinese: names, with {} for the colour. measure: the Chinese measure word."""

    english: tuple[str, ...]
    chinese: tuple[str, ...]
    measure: str = "一张"
    ratio: Span = (1.0, 1.0)  # width over height of the sheet
    grounds: dict[str, float] = field(default_factory=lambda: {"flat": 1.0})  # weight by kind
    colours: tuple[str, ...] = tuple(COLOURS)  # of the background
    inks: tuple[str, ...] = tuple(COLOURS)  # of the text, where legible
    styles: tuple[str, ...] = ()  # of fonts; empty: all
    languages: tuple[str, ...] = ("zh", "en")
    rows: tuple[int, int] = (1, 1)  # minimum and maximum
    panels: tuple[Panel, ...] = ()
    regions: tuple[Region, ...]
    objects: tuple[Box, ...] = ()  # areas of one object each
    hangs: bool = True  # may be seen in perspective in a photograph


@cache
def shipped() -> dict[str, Layout]:
    """The included layouts by name."""
    paths = sorted((assets.FOLDER / "layouts").glob("*.toml"))
    return {path.stem.replace("-", " "): read(path) for path in paths}


def read(path: Path) -> Layout:
    """The layout in a TOML file."""
    fields: dict[str, Any] = _frozen(tomllib.loads(path.read_text(encoding="utf-8")))
    fields["panels"] = tuple(Panel(**panel) for panel in fields.get("panels", ()))
    fields["regions"] = tuple(Region(**region) for region in fields["regions"])
    return Layout(**fields)


def _frozen(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _frozen(inner) for key, inner in value.items()}
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
