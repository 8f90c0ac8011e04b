"""Pictures in pairs: one as `render` draws it, and the same with one line of text made anew.

The line stands in its place with another text, or with the same one in another colour; all else
stays as it is, pixel for pixel. The second of each pair says so: it has an `edit`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from moyin.data import backgrounds, faces, places, text
from moyin.data.captions import QUOTES, captions
from moyin.data.colours import COLOURS, RGB, jittered
from moyin.data.layouts import FREE
from moyin.data.render import Renderer
from moyin.data.sample import Box, Edit, Line, Sample
from moyin.data.shape import BODY, Shape

TRIES = 200  # of other texts, before the line is recoloured instead
WRITTEN = {
    "en": ("write {text} {place} instead", "change the text {place} to {text}"),
    "zh": ("把{place}的文字换成{text}", "将{place}的字改为{text}"),
}
RECOLOURED = {
    "en": ("make {text} {colour}", "change the colour of {text} to {colour}"),
    "zh": ("把{text}变成{colour}色", "将{text}改为{colour}色"),
}


class EditRenderer(Renderer):
    """Pictures 2n are the renderer's n, and 2n + 1 what an edit makes of them."""

    @dataclass(frozen=True, kw_only=True)
    class Config(Renderer.Config):
        """recoloured: share of the edits that change a colour, and no text."""

        recoloured: float = 0.3

        def __post_init__(self) -> None:
            super().__post_init__()
            if set(self.layouts) != {FREE}:
                raise ValueError(f"lines that are placed freely are edited: layouts={FREE}:1")

        def build(self) -> EditRenderer:
            return EditRenderer(self)

    config: EditRenderer.Config

    def __call__(self, seed: int, index: int) -> Sample:
        first = super().__call__(seed, index // 2)
        if index % 2 == 0:
            return replace(first, index=index)
        random = np.random.Generator(np.random.Philox(key=(index << 64) | (seed & (2**64 - 1))))
        return replace(self._edited(first, random), index=index)

    def _edited(self, first: Sample, random: np.random.Generator) -> Sample:
        at = int(random.integers(len(first.lines)))
        old, others = first.lines[at], [*first.lines[:at], *first.lines[at + 1 :]]
        face = next(face for face in self.faces if face.name == old.face)
        taken = [line.box for line in others] + [thing.box for thing in first.objects]
        image, ground = Image.fromarray(first.picture), self.ground(first)
        drawn = self._shape(old.text, face, old)[0].ink.resize(_extent(old.box), _SMOOTH)
        rgb, colour, new = _ink(image.crop(old.box), drawn), old.colour, None
        if random.random() >= self.config.recoloured:
            new = self._other(face, old, taken, random)
        said, box = new or (old.text, old.box)
        if new is None:
            colours = [name for name in COLOURS if name != old.colour]
            legible = set(backgrounds.legible(ground.crop(box), colours))
            colour = text.pick([name for name in colours if name in legible] or colours, random)
            rgb = jittered(colour, random)
        shape = self._shape(said, face, old)[0]
        corner = (int(old.box[0]), int(old.box[1]))
        image.paste(ground.crop(old.box), corner)
        mask = shape.ink.resize(_extent(box), _SMOOTH)
        image.paste(rgb, (int(box[0]), int(box[1])), mask)
        line = replace(
            old,
            text=said,
            box=box,
            characters=shape.characters(box),
            squares=shape.squares(box),
            colour=colour,
        )
        lines = [*first.lines[:at], line, *first.lines[at + 1 :]]
        each, phrasings = self.config.captions, self.config.phrasings
        told = captions(first.background, lines, first.objects, each, random, phrasings)
        edit = Edit(-1, _instructions(line, colour if new is None else "", random))
        return replace(first, picture=np.array(image), captions=told, lines=tuple(lines), edit=edit)

    def _other(
        self, face: faces.Face, old: Line, taken: list[Box], random: np.random.Generator
    ) -> tuple[str, Box] | None:
        """Another text of as many characters, and the box in which it stands in the old one's
        place, clear of all that is taken; None where none was found."""
        for _ in range(TRIES):
            said = self._text(False, random)
            alike = said != old.text and list(map(_wide, said)) == list(map(_wide, old.text))
            if not alike or not faces.covers(face, said):
                continue
            box = self._placed(said, face, old)
            inside = min(box) >= 0 and max(box) <= self.config.size
            if inside and not places.overlaps(box, taken, self._margin):
                return said, box
        return None

    def _shape(self, said: str, face: faces.Face, old: Line) -> tuple[Shape, tuple[int, int]]:
        """The text as large as the old line, and where its ink begins in a row of squares."""
        side = old.squares[0][3] - old.squares[0][1]
        if self.config.squares:
            return Shape.in_squares(said, face, round(side))
        return Shape.of(said, face, BODY * side), (0, 0)

    def _placed(self, said: str, face: faces.Face, old: Line) -> Box:
        """Its box: in the old line's squares, or about the middle of it on its baseline."""
        shape, inside = self._shape(said, face, old)
        left, top, right, _ = old.box
        if self.config.squares:
            _, before = self._shape(old.text, face, old)
            left, top = left + inside[0] - before[0], top + inside[1] - before[1]
            width, height = shape.ink.size
        else:
            side = old.squares[0][3] - old.squares[0][1]
            was, em = self._shape(old.text, face, old)[0], BODY * side
            width, height = shape.extent(em)
            top = round(top + (was.baseline - shape.baseline) * em / shape.em)
            left = round((left + right - width) / 2)
        return (left, top, left + width, top + height)


_SMOOTH = Image.Resampling.BICUBIC


def _extent(box: Box) -> tuple[int, int]:
    return int(box[2] - box[0]), int(box[3] - box[1])


def _wide(character: str) -> bool:
    return ord(character) >= 0x2E80


def _ink(drawn: Image.Image, mask: Image.Image) -> RGB:
    """The colour with which a mask was filled: where it covers most, the picture shows it."""
    cover = np.asarray(mask)
    r, g, b = np.median(np.asarray(drawn)[cover == cover.max()], axis=0)
    return int(r), int(g), int(b)


def _instructions(line: Line, colour: str, random: np.random.Generator) -> tuple[str, ...]:
    """What is asked for, in English and in Chinese; with a colour, it is that that changes."""
    found = []
    for language, where in (("en", places.ENGLISH), ("zh", places.CHINESE)):
        pair = text.pick(QUOTES, random)
        phrase = text.pick((RECOLOURED if colour else WRITTEN)[language], random)
        named = "" if not colour else colour if language == "en" else COLOURS[colour].chinese
        quoted = pair[0] + line.text + pair[1]
        place = text.pick(where[line.place], random)
        found.append(phrase.format(text=quoted, colour=named, place=place))
    return tuple(found)
