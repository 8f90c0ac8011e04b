"""How ink is painted: filled plainly or with a gradient, outlined, with a shadow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from moyin.ocr.colours import RGB, jittered, luminance
from moyin.render.text import pick

BLACK, WHITE = (16, 16, 18), (248, 248, 246)


@dataclass(frozen=True, kw_only=True)
class Paint:
    """second: the colour at the foot of a gradient. outline: a colour around the ink, `width`
    pixels wide. shadow: the ink again beneath, moved right and down so many pixels."""

    colour: RGB
    second: RGB | None = None
    outline: RGB | None = None
    width: float = 0.0
    shadow: int = 0


def drawn(
    colour: str,
    legible: Sequence[str],
    em: float,
    names: tuple[str, ...],
    random: np.random.Generator,
) -> Paint:
    """Paint in the named colour with the effects of these names, in proportion to the em. A
    gradient goes to a neighbour that is legible as well, if there is one."""
    rgb = jittered(colour, random)
    dark = luminance(rgb) < 0.35
    near = [name for name in NEIGHBOURS[colour] if name in legible and "gradient" in names]
    outline = (WHITE if dark else BLACK) if "outline" in names else None
    return Paint(
        colour=rgb,
        second=jittered(pick(near, random), random) if near else None,
        outline=outline,
        width=max(1.0, em * random.uniform(0.02, 0.05)) if outline else 0.0,
        shadow=max(1, round(em * random.uniform(0.03, 0.07))) if "shadow" in names else 0,
    )


NEIGHBOURS = {
    "red": ("orange", "purple", "brown"),
    "orange": ("red", "yellow"),
    "yellow": ("orange", "white"),
    "green": ("blue", "black"),
    "cyan": ("white", "yellow"),
    "blue": ("purple", "black"),
    "purple": ("blue", "red"),
    "pink": ("white", "yellow"),
    "brown": ("black", "red"),
    "black": ("blue", "brown"),
    "white": ("yellow", "cyan", "pink"),
    "grey": ("black", "blue"),
}


def paint(image: Image.Image, ink: Image.Image, corner: tuple[int, int], wanted: Paint) -> None:
    """Put the ink [its size] onto an RGB image with its top left at `corner`."""
    room = 2 * round(wanted.width + wanted.shadow + 1) if wanted.width or wanted.shadow else 0
    x, y = corner[0] - room, corner[1] - room
    if room:
        wide = Image.new("L", (ink.width + 2 * room, ink.height + 2 * room))
        wide.paste(ink, (room, room))
        around = _grown(wide, wanted.width) if wanted.outline else wide
        if wanted.shadow:
            soft = around.filter(ImageFilter.GaussianBlur(wanted.shadow / 3))
            shade = soft.point([level * 2 // 3 for level in range(256)])
            image.paste(BLACK, (x + wanted.shadow, y + wanted.shadow), shade)
        if wanted.outline:
            image.paste(wanted.outline, (x, y), around)
    if wanted.second is None:
        image.paste(wanted.colour, corner, ink)
    else:
        image.paste(_gradient(wanted.colour, wanted.second, ink.size), corner, ink)


def _grown(ink: Image.Image, width: float) -> Image.Image:
    """The ink with about `width` pixels more on every side: blurred, and steepened again."""
    soft = ink.filter(ImageFilter.GaussianBlur(width * 0.8))
    return soft.point([min(255, max(0, 12 * (level - 12))) for level in range(256)])


def _gradient(top: RGB, foot: RGB, size: tuple[int, int]) -> Image.Image:
    column = np.linspace(top, foot, size[1]).round().astype(np.uint8)[:, None]
    return Image.fromarray(np.ascontiguousarray(np.broadcast_to(column, (size[1], size[0], 3))))
