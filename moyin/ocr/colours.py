"""Named colours of backgrounds and text, and which pairs are readable."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

RGB = tuple[int, int, int]
JITTER = 10  # largest deviation of a jittered colour from the nominal one, in levels per channel


@dataclass(frozen=True, kw_only=True)
class Colour:
    """A colour with its English and Chinese names; rgb: nominal value, 0 to 255."""

    name: str
    chinese: str
    rgb: RGB


COLOURS = {
    name: Colour(name=name, chinese=chinese, rgb=rgb)
    for name, chinese, rgb in (
        ("red", "红", (208, 32, 36)),
        ("orange", "橙", (245, 128, 24)),
        ("yellow", "黄", (250, 214, 36)),
        ("green", "绿", (30, 140, 62)),
        ("cyan", "青", (32, 196, 200)),
        ("blue", "蓝", (30, 78, 200)),
        ("purple", "紫", (116, 42, 158)),
        ("pink", "粉", (246, 150, 186)),
        ("brown", "棕", (104, 62, 34)),
        ("black", "黑", (18, 18, 20)),
        ("white", "白", (245, 245, 243)),
        ("grey", "灰", (132, 134, 138)),
    )
}


def luminance(rgb: RGB) -> float:
    """Relative luminance in [0, 1] (WCAG 2.2)."""
    levels = [c / 255 for c in rgb]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in levels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: RGB, b: RGB) -> float:
    """Contrast ratio in [1, 21] (WCAG 2.2)."""
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


@cache
def readable(name: str, least: float = 3.0) -> tuple[str, ...]:
    """The text colours with a contrast of at least `least` to the named background."""
    ground = COLOURS[name].rgb
    return tuple(c.name for c in COLOURS.values() if contrast(c.rgb, ground) >= least)


def nearest(rgb: RGB) -> str:
    """The nearest named colour by Euclidean distance in sRGB."""

    def distance(colour: Colour) -> int:
        return sum((a - b) ** 2 for a, b in zip(colour.rgb, rgb, strict=True))

    return min(COLOURS.values(), key=distance).name


def jittered(name: str, random: np.random.Generator) -> RGB:
    """The named colour, shifted by at most `JITTER` levels in each channel."""
    shifts = random.integers(-JITTER, JITTER + 1, 3)
    red, green, blue = (
        min(255, max(0, level + int(shift)))
        for level, shift in zip(COLOURS[name].rgb, shifts, strict=True)
    )
    return red, green, blue
