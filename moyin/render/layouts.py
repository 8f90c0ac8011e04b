"""Layouts that people know, each a file of assets/layouts: where on which ground what text stands.

Boxes are (left, top, right, bottom) in shares of the sheet's width and height; ems, widths and
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

FREE = "free"  # the name of no layout: lines anywhere
Span = tuple[float, float]  # from and to


@dataclass(frozen=True, kw_only=True)
class Region:
    """Room for one text."""

    kind: str  # of text, one of `phrases.KINDS`
    box: Box
    ems: Span
    role: str = ""  # what captions call it, one of `captions.ROLES`
    share: float = 1.0  # of the images have it
    rows: bool = False  # once for each row of the layout, down its box
    sides: bool = False  # of the rows, one stands at the left and the next at the right
    inset: float = 0.0  # from the edges of its box, or of each row's
    lines: int = 1  # that its text may be broken into
    align: str = "middle"  # left, middle or right
    vertical: float = 0.0  # share set in columns
    effects: tuple[str, ...] = ()  # that it may have: outline, shadow, gradient, turn, arch
    main: bool = False  # takes the characters whose turn it is


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A shape under the text. fill and edge: a colour by name, "ink", which is one that can be read
    on the ground, or "bubble", white or green as the sides go; empty for none."""

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
    """english and chinese: what it is called, with {} for its colour; measure: the measure word."""

    english: tuple[str, ...]
    chinese: tuple[str, ...]
    measure: str = "一张"
    ratio: Span = (1.0, 1.0)  # width over height of the sheet
    grounds: dict[str, float] = field(default_factory=lambda: {"flat": 1.0})  # kinds, by weight
    colours: tuple[str, ...] = tuple(COLOURS)  # of the ground
    inks: tuple[str, ...] = tuple(COLOURS)  # of the text, where they can be read
    styles: tuple[str, ...] = ()  # of fonts; empty for all
    languages: tuple[str, ...] = ("zh", "en")
    rows: tuple[int, int] = (1, 1)
    panels: tuple[Panel, ...] = ()
    regions: tuple[Region, ...]
    objects: tuple[Box, ...] = ()  # room for one pictured object each
    hangs: bool = True  # also in a photograph, seen at an angle


@cache
def shipped() -> dict[str, Layout]:
    """The layouts that come with the package, by name."""
    paths = sorted((assets.FOLDER / "layouts").glob("*.toml"))
    return {path.stem.replace("-", " "): read(path) for path in paths}


def read(path: Path) -> Layout:
    """The layout that a TOML file describes."""
    fields: dict[str, Any] = _frozen(tomllib.loads(path.read_text(encoding="utf-8")))
    fields["panels"] = tuple(Panel(**panel) for panel in fields.get("panels", ()))
    fields["regions"] = tuple(Region(**region) for region in fields["regions"])
    return Layout(**fields)


def _frozen(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _frozen(inner) for key, inner in value.items()}
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
