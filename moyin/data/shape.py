"""A line of text as a shape: its ink, where in it each character is, and a mask at any size."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image, ImageDraw

from moyin.data.faces import Face, font
from moyin.data.sample import Box

EMS = (96, 160, 320, 640)  # lines are rasterised at one of these and scaled down from there


@dataclass(frozen=True)
class Shape:
    """One line set in one face at `em` pixels an em.

    `ink` is its coverage, 0 to 255, cut to where there is any; `cells` are the left and right
    ends of each character's advance in it.
    """

    text: str
    face: Face
    em: int
    ink: Image.Image
    cells: tuple[tuple[float, float], ...]

    @classmethod
    def of(cls, text: str, face: Face, largest: float) -> Shape:
        """Set `text`, which is not blank, in `face`, to be drawn at up to `largest` an em."""
        em = next((em for em in EMS if em >= largest), EMS[-1])
        opened = font(face, em)
        left, top, right, bottom = map(round, opened.getbbox(text))
        image = Image.new("L", (right - left, bottom - top))
        ImageDraw.Draw(image).text((-left, -top), text, 255, opened)
        tight = image.getbbox()
        assert tight is not None, f"{face.name} draws nothing for {text!r}"
        ends = [opened.getlength(text[:end]) - left - tight[0] for end in range(1, len(text) + 1)]
        advances = map(opened.getlength, text)
        cells = tuple((end - way, end) for end, way in zip(ends, advances, strict=True))
        return cls(text, face, em, image.crop(tight), cells)

    def extent(self, em: float) -> tuple[int, int]:
        """Width and height of the ink in whole pixels when an em is `em` pixels."""
        scale = em / self.em
        return max(1, round(self.ink.width * scale)), max(1, round(self.ink.height * scale))

    def mask(self, em: float) -> Image.Image:
        """The ink's coverage, `extent(em)` in size."""
        return self.ink.resize(self.extent(em), Image.Resampling.BICUBIC)

    def characters(self, box: Box) -> tuple[Box, ...]:
        """One box a character when the ink fills `box`: the ink within its advance, or, for a
        blank, its advance at the line's height."""
        across = (box[2] - box[0]) / self.ink.width
        down = (box[3] - box[1]) / self.ink.height
        return tuple(
            (
                box[0] + left * across,
                box[1] + top * down,
                box[0] + right * across,
                box[1] + bottom * down,
            )
            for left, top, right, bottom in map(self._inked, self.text, self.cells)
        )

    def _inked(self, character: str, cell: tuple[float, float]) -> Box:
        left, right = max(0, round(cell[0])), min(self.ink.width, round(cell[1]))
        part = self.ink.crop((left, 0, right, self.ink.height)).getbbox()
        if part is None or character.isspace():
            return (left, 0, right, self.ink.height)
        return (left + part[0], part[1], left + part[2], part[3])
