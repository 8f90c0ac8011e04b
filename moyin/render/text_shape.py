"""The shape of a line of text: its ink, the box of each character, and a mask at any size.

A character's square is the area that the glyph encoder's bitmap of it covers: an em is BODY of its
side, the baseline is at BASELINE of its height, and the advance is centered in it.
"""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image, ImageDraw

from moyin.dataset.sample import Box
from moyin.render.fonts import Font, load_font

# Pixels per em at which text is rasterised; it is scaled down from there.
EMS = (48, 96, 160, 224, 320, 640)
BODY, BASELINE = 0.92, 0.85


@dataclass(frozen=True)
class PlacedText:
    """A text's coverage, of the size of its `box`, and its characters' boxes (`sample.Line`)."""

    ink: Image.Image
    box: Box
    characters: tuple[Box, ...]
    squares: tuple[Box, ...]

    @property
    def corner(self) -> tuple[int, int]:
        return int(self.box[0]), int(self.box[1])


@dataclass(frozen=True)
class TextShape:
    """One line set in one font at `em` pixels per em.

    ink: its coverage, 0 to 255, cropped to the ink. cells: left and right end of each character's
    advance. baseline: distance from the top.
    """

    text: str
    font: Font
    em: int
    ink: Image.Image
    cells: tuple[tuple[float, float], ...]
    baseline: float

    @classmethod
    def of(cls, text: str, font: Font, largest: float) -> TextShape:
        """Set `text`, which must have ink, to be drawn at up to `largest` pixels per em."""
        em = next((em for em in EMS if em >= largest), EMS[-1])
        opened = load_font(font, em)
        left, top, right, bottom = map(round, opened.getbbox(text))
        image = Image.new("L", (right - left, bottom - top))
        ImageDraw.Draw(image).text((-left, -top), text, 255, opened)
        tight = image.getbbox()
        assert tight is not None, f"{font.name} draws nothing for {text!r}"
        ends = [opened.getlength(text[:end]) - left - tight[0] for end in range(1, len(text) + 1)]
        advances = map(opened.getlength, text)
        cells = tuple((end - advance, end) for end, advance in zip(ends, advances, strict=True))
        baseline = opened.getmetrics()[0] - top - tight[1]
        return cls(text, font, em, image.crop(tight), cells, baseline)

    def extent(self, em: float) -> tuple[int, int]:
        """Width and height of the ink, in whole pixels, at `em` pixels per em."""
        scale = em / self.em
        return max(1, round(self.ink.width * scale)), max(1, round(self.ink.height * scale))

    def mask(self, em: float) -> Image.Image:
        """The coverage at `em` pixels per em, of size `extent(em)`."""
        return self.ink.resize(self.extent(em), Image.Resampling.BICUBIC)

    def placed(self, box: Box) -> PlacedText:
        """The line scaled so that its ink fills `box`, in whole pixels."""
        size = (int(box[2] - box[0]), int(box[3] - box[1]))
        ink = self.ink.resize(size, Image.Resampling.BICUBIC)
        return PlacedText(ink, box, self.characters(box), self.squares(box))

    def characters(self, box: Box) -> tuple[Box, ...]:
        """A box per character if the ink fills `box`: the ink within its advance; for white space
        its advance, at the line's height."""
        across = (box[2] - box[0]) / self.ink.width
        down = (box[3] - box[1]) / self.ink.height
        return tuple(
            (
                box[0] + left * across,
                box[1] + top * down,
                box[0] + right * across,
                box[1] + bottom * down,
            )
            for left, top, right, bottom in map(self._ink_box, self.text, self.cells)
        )

    def squares(self, box: Box) -> tuple[Box, ...]:
        """The square of each character if the ink fills `box`."""
        across = (box[2] - box[0]) / self.ink.width
        down = (box[3] - box[1]) / self.ink.height
        half = self.em * across / BODY / 2
        height = self.em * down / BODY
        top = box[1] + self.baseline * down - BASELINE * height
        middles = (box[0] + (left + right) / 2 * across for left, right in self.cells)
        return tuple((x - half, top, x + half, top + height) for x in middles)

    def _ink_box(self, character: str, cell: tuple[float, float]) -> Box:
        left, right = max(0, round(cell[0])), min(self.ink.width, round(cell[1]))
        part = self.ink.crop((left, 0, right, self.ink.height)).getbbox()
        if part is None or character.isspace():
            return (left, 0, right, self.ink.height)
        return (left + part[0], part[1], left + part[2], part[3])
