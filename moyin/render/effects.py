"""Paint ink: in one colour or with a gradient, with an outline, with a shadow."""

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
    """How to paint ink.

    second: the lower colour of a gradient. outline: its colour; `width` is in pixels. shadow:
    offset of the shadow to the right and down, in pixels; 0 for none.
    """

    colour: RGB
    second: RGB | None = None
    outline: RGB | None = None
    width: float = 0.0
    shadow: int = 0


def random_paint(
    colour: str,
    legible: Sequence[str],
    em: float,
    names: tuple[str, ...],
    random: np.random.Generator,
) -> Paint:
    """Paint in a shade of the named colour with these effects, in proportion to the em.

    A gradient leads to a similar colour that is legible; without one there is no gradient.
    """
    rgb = jittered(colour, random)
    dark = luminance(rgb) < 0.35
    similar = [name for name in SIMILAR[colour] if name in legible and "gradient" in names]
    outline = (WHITE if dark else BLACK) if "outline" in names else None
    return Paint(
        colour=rgb,
        second=jittered(pick(similar, random), random) if similar else None,
        outline=outline,
        width=max(1.0, em * random.uniform(0.02, 0.05)) if outline else 0.0,
        shadow=max(1, round(em * random.uniform(0.03, 0.07))) if "shadow" in names else 0,
    )


SIMILAR = {
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


def paint(image: Image.Image, ink: Image.Image, corner: tuple[int, int], style: Paint) -> None:
    """Paint the ink onto an RGB image, with its top left at `corner`."""
    room = 2 * round(style.width + style.shadow + 1) if style.width or style.shadow else 0
    x, y = corner[0] - room, corner[1] - room
    if room:
        wide = Image.new("L", (ink.width + 2 * room, ink.height + 2 * room))
        wide.paste(ink, (room, room))
        around = _grown(wide, style.width) if style.outline else wide
        if style.shadow:
            soft = around.filter(ImageFilter.GaussianBlur(style.shadow / 3))
            shade = soft.point([level * 2 // 3 for level in range(256)])
            image.paste(BLACK, (x + style.shadow, y + style.shadow), shade)
        if style.outline:
            image.paste(style.outline, (x, y), around)
    if style.second is None:
        image.paste(style.colour, corner, ink)
    else:
        image.paste(_gradient(style.colour, style.second, ink.size), corner, ink)


def _grown(ink: Image.Image, width: float) -> Image.Image:
    """The ink, dilated by about `width` pixels: blurred, then with the contrast raised."""
    soft = ink.filter(ImageFilter.GaussianBlur(width * 0.8))
    return soft.point([min(255, max(0, 12 * (level - 12))) for level in range(256)])


def _gradient(top: RGB, foot: RGB, size: tuple[int, int]) -> Image.Image:
    column = np.linspace(top, foot, size[1]).round().astype(np.uint8)[:, None]
    return Image.fromarray(np.ascontiguousarray(np.broadcast_to(column, (size[1], size[0], 3))))
