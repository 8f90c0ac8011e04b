"""Backgrounds: a flat colour, a gradient, a texture or a photograph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

from moyin.ocr.colours import COLOURS, RGB, contrast, jittered, luminance, readable
from moyin.render import assets
from moyin.render.text import pick

# Image, metadata (`Sample.background`), and the colours that text on it may have.
Background = tuple[Image.Image, dict[str, str], tuple[str, ...]]
Levels = np.ndarray[Any, np.dtype[np.uint8]]


def draw(
    kind: str,
    size: int,
    random: np.random.Generator,
    names: Sequence[str] = tuple(COLOURS),
) -> Background:
    """A background of one of the KINDS in a random one of the named colours, `size` pixels square.

    A photograph has colours of its own.
    """
    return KINDS[kind](size, names, random)


def _flat(size: int, names: Sequence[str], random: np.random.Generator) -> Background:
    name = pick(names, random)
    image = Image.new("RGB", (size, size), jittered(name, random))
    return image, {"kind": "flat", "colour": name}, readable(name)


@cache
def _gradients() -> tuple[tuple[str, str, tuple[str, ...]], ...]:
    pairs = [(a, b) for a in COLOURS for b in COLOURS if a != b]
    shared = [(a, b, tuple(c for c in readable(a) if c in readable(b))) for a, b in pairs]
    return tuple(row for row in shared if len(row[2]) >= 2)


def _gradient(size: int, names: Sequence[str], random: np.random.Generator) -> Background:
    first, second, colours = pick([row for row in _gradients() if row[0] in names], random)
    ends = np.array([jittered(first, random), jittered(second, random)], np.float32)
    x = np.arange(size)
    down, across = pick(((1, 0), (0, 1), (1, 1)), random)
    depth = (down * x[:, None] + across * x[None, :]) * 255 // ((down + across) * (size - 1))
    palette = ends[0] + np.linspace(0, 1, 256)[:, None] * (ends[1] - ends[0])
    image = _apply_palette(depth.astype(np.uint8), palette)
    metadata = {"kind": "gradient", "colour": first, "second": second}
    return image, metadata, colours


def _apply_palette(levels: Levels, palette: np.ndarray[Any, Any]) -> Image.Image:
    """An RGB image: for each pixel the row of the palette [256, 3] given by its level."""
    image = Image.fromarray(levels).convert("P")
    image.putpalette(np.clip(np.rint(palette), 0, 255).astype(np.uint8).tobytes())
    return image.convert("RGB")


@cache
def _noise(size: int, smooth: bool) -> Levels:
    """A field of noise about level 128, [2 size, 2 size], of which images show a window."""
    raw = np.random.Generator(np.random.Philox(key=size)).random((2 * size, 2 * size))
    if smooth:
        grain = Image.fromarray((raw * 255).astype(np.uint8))
        raw = np.asarray(grain.filter(ImageFilter.GaussianBlur(3)), float)
    waves = (raw - raw.mean()) / raw.std()
    field: Levels = np.clip(128 + (8 if smooth else 11) * waves, 0, 255).astype(np.uint8)
    return field


def _grain(size: int, smooth: bool, random: np.random.Generator) -> Levels:
    top, left = random.integers(0, size, 2)
    return _noise(size, smooth)[top : top + size, left : left + size]


def _stripes(size: int, random: np.random.Generator) -> Levels:
    x = np.arange(size)
    width = int(random.integers(size // 32, size // 10))
    down, across = pick(((1, 0), (0, 1), (1, 1), (1, -1)), random)
    odd = (down * x[:, None] + across * x[None, :]) // width % 2
    return (112 + 32 * odd).astype(np.uint8)


def _dots(size: int, random: np.random.Generator) -> Levels:
    pitch = int(random.integers(size // 20, size // 10))
    x = (np.arange(size) % pitch - pitch / 2) ** 2
    return np.where(x[:, None] + x[None, :] < (pitch / 3.4) ** 2, 144, 112).astype(np.uint8)


TEXTURES: dict[str, Callable[[int, np.random.Generator], Levels]] = {
    "stripes": _stripes,
    "dots": _dots,
    "noise": lambda size, random: _grain(size, False, random),
    "paper": lambda size, random: _grain(size, True, random),
}


def _texture(size: int, names: Sequence[str], random: np.random.Generator) -> Background:
    name, texture = pick(names, random), pick(tuple(TEXTURES), random)
    # Clipped so that a texture on white or black keeps the named mean colour.
    base = np.clip(np.array(jittered(name, random), float), 24, 231)
    palette = base + (np.arange(256) - 128)[:, None]
    image = _apply_palette(TEXTURES[texture](size, random), palette)
    return image, {"kind": "texture", "colour": name, "texture": texture}, readable(name)


def _photograph(size: int, names: Sequence[str], random: np.random.Generator) -> Background:
    name = pick(tuple(assets.PHOTOGRAPHS), random)
    image = window(name, size, random)
    # Dimmed or faded, so that text on it is legible.
    veil, strength = pick((((0, 0, 0), 0.5), ((255, 255, 255), 0.6)), random)
    image = Image.blend(image, Image.new("RGB", image.size, veil), strength)
    return image, {"kind": "photograph", "photograph": name}, tuple(COLOURS)


ZOOMS = (0.7, 0.8, 0.9, 1.0)  # share of a photograph's shorter side that is shown


def window(name: str, size: int, random: np.random.Generator) -> Image.Image:
    """A random square part of an included photograph, scaled to `size` pixels."""
    scaled = _scaled(name, size, pick(ZOOMS, random))
    left = int(random.integers(0, scaled.width - size + 1))
    top = int(random.integers(0, scaled.height - size + 1))
    return scaled.crop((left, top, left + size, top + size))


@cache
def _scaled(name: str, size: int, zoom: float) -> Image.Image:
    """A photograph scaled so that `zoom` of its shorter side is `size` pixels long."""
    source = assets.photograph(name)
    scale = size / (zoom * min(source.size))
    extent = [max(size, round(length * scale)) for length in source.size]
    return source.resize((extent[0], extent[1]), Image.Resampling.BICUBIC)


def legible(image: Image.Image, colours: Sequence[str]) -> tuple[str, ...]:
    """The colours that are legible on an image: with a contrast of at least 3 to its darkest and
    brightest tenth. Black or white if there is none."""
    small = np.asarray(image.resize((16, 16), Image.Resampling.BOX)).reshape(-1, 3)
    order = np.argsort(small @ np.array([0.2126, 0.7152, 0.0722]))
    ends: list[RGB] = [
        (int(r), int(g), int(b)) for r, g, b in small[order[[len(order) // 10, -len(order) // 10]]]
    ]
    worst = {name: min(contrast(COLOURS[name].rgb, end) for end in ends) for name in colours}
    mean = sum(luminance(end) for end in ends) / 2
    good = tuple(name for name in colours if worst[name] >= 3.0)
    return good or ("white" if mean < 0.4 else "black",)


KINDS: dict[str, Callable[[int, Sequence[str], np.random.Generator], Background]] = {
    "flat": _flat,
    "gradient": _gradient,
    "texture": _texture,
    "photograph": _photograph,
}
