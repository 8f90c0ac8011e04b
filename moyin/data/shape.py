"""A line of text as a shape: its extent, its characters' extents, and a mask at any size."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image, ImageDraw

from moyin.data.faces import Face, font
from moyin.data.sample import Box

EMS = (80, 160, 320, 640)  # glyphs are rasterised at one of these and scaled down from there
MEASURE = 320


@dataclass(frozen=True)
class Shape:
    """One line set in one face at `em` pixels an em, where `ink` is its bounding box: the ink,
    and across the line also the pen's way."""

    text: str
    face: Face
    em: int
    ink: Box

    @classmethod
    def of(cls, text: str, face: Face) -> Shape:
        """Set `text` in `face`."""
        return cls(text, face, MEASURE, font(face, MEASURE).getbbox(text))

    def extent(self, em: float) -> tuple[int, int]:
        """Width and height of the line in whole pixels when an em is `em` pixels."""
        scale = em / self.em
        width, height = self.ink[2] - self.ink[0], self.ink[3] - self.ink[1]
        return max(1, round(width * scale)), max(1, round(height * scale))

    def mask(self, em: float) -> Image.Image:
        """The ink's coverage, 0 to 255, `extent(em)` in size."""
        opened = font(self.face, next((size for size in EMS if size >= em), EMS[-1]))
        left, top, right, bottom = opened.getbbox(self.text)
        image = Image.new("L", (round(right - left), round(bottom - top)))
        ImageDraw.Draw(image).text((-left, -top), self.text, 255, opened)
        return image.resize(self.extent(em), Image.Resampling.BICUBIC)

    def characters(self, box: Box) -> tuple[Box, ...]:
        """One box a character when the line fills `box`; a blank is as high as the line."""
        return tuple(self._moved(ink, box) for ink in self._inks())

    def _inks(self) -> list[Box]:
        opened = font(self.face, self.em)
        inks: list[Box] = []
        for end, character in enumerate(self.text, 1):
            advance = opened.getlength(character)
            left = opened.getlength(self.text[:end]) - advance
            own = opened.getbbox(character)
            if character == " ":
                own = (0, self.ink[1], advance, self.ink[3])
            inks.append((left + own[0], own[1], left + own[2], own[3]))
        return inks

    def _moved(self, ink: Box, box: Box) -> Box:
        across = (box[2] - box[0]) / (self.ink[2] - self.ink[0])
        down = (box[3] - box[1]) / (self.ink[3] - self.ink[1])
        return (
            box[0] + (ink[0] - self.ink[0]) * across,
            box[1] + (ink[1] - self.ink[1]) * down,
            box[0] + (ink[2] - self.ink[0]) * across,
            box[1] + (ink[3] - self.ink[1]) * down,
        )
