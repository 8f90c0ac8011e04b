"""Images in pairs: one as `render` draws it, and the same with one line of text made anew.

The line stands in its place with another text, or with the same one in another colour; all else
stays as it is, pixel for pixel. In squares the new text may be longer or shorter, and stands where
a text of its length would. Each of a pair is an `edit` of the other one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from moyin.dataset.sample import Box, Edit, Line, Sample
from moyin.ocr.colours import COLOURS, RGB, jittered
from moyin.ocr.places import CHINESE, ENGLISH, PLACES
from moyin.render import fonts, places, text
from moyin.render.captions import QUOTES, captions
from moyin.render.layouts import FREE
from moyin.render.renderer import Renderer
from moyin.render.text_shape import BODY, Placed, Shape

TRIES = 200  # of other texts, before the line is recoloured instead
WRITTEN = {
    "en": (
        "write {text} {place} instead",
        "change the text {place} to {text}",
        "replace the words {place} with {text}",
        "the text {place} should say {text}",
        "now let it say {text} {place}",
        "leave the poster as it is, but put {text} {place}",
    ),
    "zh": (
        "把{place}的文字换成{text}",
        "将{place}的字改为{text}",
        "请把{place}的内容改成{text}",
        "{place}改写{text}",
        "其他不变，{place}的字换为{text}",
        "现在{place}要写{text}",
    ),
}
RECOLOURED = {
    "en": (
        "make {text} {colour}",
        "change the colour of {text} to {colour}",
        "paint {text} {colour}",
        "{text} should be {colour}",
        "turn the letters of {text} {colour}",
        "the same poster with {text} in {colour}",
    ),
    "zh": (
        "把{text}变成{colour}色",
        "将{text}改为{colour}色",
        "{text}换成{colour}色的",
        "请把{text}的颜色改成{colour}色",
        "其他不变，{text}用{colour}色",
        "{text}要{colour}色的字",
    ),
}
# Kept out of what is taught: an evaluation asks so.
HELD_OUT_WRITTEN = {
    "en": ("swap the text {place} for {text}", "please make the writing {place} read {text}"),
    "zh": ("让{place}的文字变成{text}", "{place}不要原来的字，写上{text}"),
}
HELD_OUT_RECOLOURED = {
    "en": ("please give me {text} in {colour} now", "let {text} become {colour}"),
    "zh": ("让{text}成为{colour}色", "{text}的字色改{colour}色"),
}


class EditRenderer(Renderer):
    """Images 2n are the renderer's n, and 2n + 1 what an edit makes of them; the other way about
    it is an edit, too."""

    @dataclass(frozen=True, kw_only=True)
    class Config(Renderer.Config):
        """recoloured: share of the edits that change a colour, and no text. resized: share of the
        others, of lines in squares, whose new text may have any length."""

        recoloured: float = 0.3
        resized: float = 0.5

        def __post_init__(self) -> None:
            super().__post_init__()
            if set(self.layouts) != {FREE}:
                raise ValueError(f"lines that are placed freely are edited: layouts={FREE}:1")

        def build(self) -> EditRenderer:
            return EditRenderer(self)

    config: EditRenderer.Config

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._drawn: dict[tuple[int, int], tuple[Sample, Sample]] = {}

    def __call__(self, seed: int, index: int) -> Sample:
        which = (seed, index // 2)
        if which not in self._drawn:  # the last pair alone is kept: its other half comes next
            first = super().__call__(*which)
            key = ((index | 1) << 64) | (seed & (2**64 - 1))
            pair = self._pair(first, np.random.Generator(np.random.Philox(key=key)))
            self._drawn = {which: pair}
        return replace(self._drawn[which][index % 2], index=index)

    def _pair(self, first: Sample, random: np.random.Generator) -> tuple[Sample, Sample]:
        at = int(random.integers(len(first.lines)))
        old, others = first.lines[at], [*first.lines[:at], *first.lines[at + 1 :]]
        font = next(font for font in self.fonts if font.name == old.font)
        taken = [line.box for line in others] + [thing.box for thing in first.objects]
        image, ground = Image.fromarray(first.image), self.ground(first)
        before = self._placed(old.text, font, old)
        rgb, colour, new = _ink(image.crop(old.box), before.ink), old.colour, None
        if random.random() >= self.config.recoloured:
            new = self._other(font, old, taken, random)
        said, after = new or (old.text, before)
        if new is None:
            colours = [name for name in COLOURS if name != old.colour]
            inks = self._inks(first.background, tuple(colours), random)
            legible = set(inks(ground.crop(old.box)))
            colour = text.pick([name for name in colours if name in legible] or colours, random)
            rgb = jittered(colour, random)
        image.paste(ground.crop(old.box), before.corner)
        image.paste(rgb, after.corner, after.ink)
        line = replace(
            old,
            text=said,
            box=after.box,
            characters=after.characters,
            squares=after.squares,
            colour=colour,
        )
        lines = [*first.lines[:at], line, *first.lines[at + 1 :]]
        each, phrasings = self.config.captions, self.config.phrasings
        told = captions(first.background, lines, first.objects, each, random, phrasings)
        asked, asked_back = (
            _instructions(one, new is None, random, phrasings == "held-out") for one in (line, old)
        )
        second = replace(first, image=np.array(image), captions=told, lines=tuple(lines))
        return replace(first, edit=Edit(1, asked_back)), replace(second, edit=Edit(-1, asked))

    def _other(
        self, font: fonts.Font, old: Line, taken: list[Box], random: np.random.Generator
    ) -> tuple[str, Placed] | None:
        """Another text in the old one's place, of as many characters unless it may have any length,
        clear of all that is taken; None where none was found."""
        squares = bool(self.config.squares)
        resized = squares and random.random() < self.config.resized
        cell = next((r, c) for r in range(3) for c in range(3) if PLACES[r][c] == old.place)
        for _ in range(TRIES):
            said = self._text(squares and self.config.prominent == 1, random)
            alike = resized or list(map(_kind, said)) == list(map(_kind, old.text))
            if said == old.text or not alike or not fonts.covers(font, said):
                continue
            if resized:
                found = self._in_squares(said, font, cell, random)
            else:
                found = self._placed(said, font, old)
            if found is None:
                continue
            inside = min(found.box) >= 0 and max(found.box) <= self.config.size
            if inside and not places.overlaps(found.box, taken, self._margin):
                return said, found
        return None

    def _placed(self, said: str, font: fonts.Font, old: Line) -> Placed:
        """The text as large as the old line: in its squares, or about its middle on its
        baseline."""
        side, (left, top, right, _) = old.squares[0][3] - old.squares[0][1], old.box
        if self.config.squares:
            was = self._set(old.text, font, round(side), (0, 0))
            corner = (int(left - was.box[0]), int(top - was.box[1]))
            return self._set(said, font, round(side), corner)
        em = BODY * side
        before, shape = Shape.of(old.text, font, em), Shape.of(said, font, em)
        if said == old.text:
            return shape.placed(old.box)
        width, height = shape.extent(em)
        top = round(top + (before.baseline - shape.baseline) * em / shape.em)
        left = round((left + right - width) / 2)
        return shape.placed((left, top, left + width, top + height))


def _kind(character: str) -> tuple[bool, bool]:
    """What the row that a character stands in depends on."""
    return ord(character) >= 0x2E80, character.isspace()


def _ink(drawn: Image.Image, mask: Image.Image) -> RGB:
    """The colour with which a mask was filled: where it covers most, the image shows it."""
    cover = np.asarray(mask)
    r, g, b = np.median(np.asarray(drawn)[cover == cover.max()], axis=0)
    return int(r), int(g), int(b)


def _instructions(
    line: Line, recoloured: bool, random: np.random.Generator, held_out: bool
) -> tuple[str, ...]:
    """How the line is asked for, in English and in Chinese: its colour, or what it says."""
    written = HELD_OUT_WRITTEN if held_out else WRITTEN
    phrases = (HELD_OUT_RECOLOURED if held_out else RECOLOURED) if recoloured else written
    found = []
    for language, where in (("en", ENGLISH), ("zh", CHINESE)):
        pair = text.pick(QUOTES, random)
        phrase = text.pick(phrases[language], random)
        named = line.colour if language == "en" else COLOURS[line.colour].chinese
        quoted = pair[0] + line.text + pair[1]
        place = text.pick(where[line.place], random)
        found.append(phrase.format(text=quoted, colour=named, place=place))
    return tuple(found)
