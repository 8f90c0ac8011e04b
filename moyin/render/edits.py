"""Pairs of images: one as the renderer draws it, and the same with one line changed.

The line has another text, or another colour; all other pixels are equal. Text in squares may
change its length, and is placed where a text of the new length would be. Each image of a pair is
an `edit` of the other.
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
from moyin.render.text_shape import BODY, PlacedText, TextShape

MAX_TRIES = 200  # of other texts, before the line is recoloured instead
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
# Held out from training, for evaluation.
HELD_OUT_WRITTEN = {
    "en": ("swap the text {place} for {text}", "please make the writing {place} read {text}"),
    "zh": ("让{place}的文字变成{text}", "{place}不要原来的字，写上{text}"),
}
HELD_OUT_RECOLOURED = {
    "en": ("please give me {text} in {colour} now", "let {text} become {colour}"),
    "zh": ("让{text}成为{colour}色", "{text}的字色改{colour}色"),
}


class EditRenderer(Renderer):
    """Image 2n is the renderer's image n, and image 2n + 1 is an edit of it, and vice versa."""

    @dataclass(frozen=True, kw_only=True)
    class Config(Renderer.Config):
        """recoloured: share of the edits that change a colour instead of a text. resized: share of
        the other edits, of lines in squares, whose new text may have any length."""

        recoloured: float = 0.3
        resized: float = 0.5

        def __post_init__(self) -> None:
            super().__post_init__()
            if set(self.layouts) != {FREE}:
                raise ValueError(f"edits need freely placed lines: set layouts={FREE}:1")

        def build(self) -> EditRenderer:
            return EditRenderer(self)

    config: EditRenderer.Config

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._last: dict[tuple[int, int], tuple[Sample, Sample]] = {}

    def __call__(self, seed: int, index: int) -> Sample:
        pair_key = (seed, index // 2)
        if pair_key not in self._last:  # only the last pair is kept
            first = super().__call__(*pair_key)
            key = ((index | 1) << 64) | (seed & (2**64 - 1))
            pair = self._pair(first, np.random.Generator(np.random.Philox(key=key)))
            self._last = {pair_key: pair}
        return replace(self._last[pair_key][index % 2], index=index)

    def _pair(self, first: Sample, random: np.random.Generator) -> tuple[Sample, Sample]:
        at = int(random.integers(len(first.lines)))
        old, others = first.lines[at], [*first.lines[:at], *first.lines[at + 1 :]]
        font = next(font for font in self.fonts if font.name == old.font)
        taken = [line.box for line in others] + [drawn.box for drawn in first.objects]
        image, background = Image.fromarray(first.image), self.background(first)
        before = self._placed(old.text, font, old)
        rgb, colour, new = _ink_colour(image.crop(old.box), before.ink), old.colour, None
        if random.random() >= self.config.recoloured:
            new = self._other(font, old, taken, random)
        content, after = new or (old.text, before)
        if new is None:
            colour = self._other_colour(first, old, background, random)
            rgb = jittered(colour, random)
        image.paste(background.crop(old.box), before.corner)
        image.paste(rgb, after.corner, after.ink)
        line = replace(
            old,
            text=content,
            box=after.box,
            characters=after.characters,
            squares=after.squares,
            colour=colour,
        )
        lines = [*first.lines[:at], line, *first.lines[at + 1 :]]
        each, phrasings = self.config.captions, self.config.phrasings
        texts = captions(first.background, lines, first.objects, each, random, phrasings)
        instructions, reverse = (
            _instructions(target, new is None, random, phrasings == "held-out")
            for target in (line, old)
        )
        second = replace(first, image=np.array(image), captions=texts, lines=tuple(lines))
        edited = replace(second, edit=Edit(-1, instructions))
        return replace(first, edit=Edit(1, reverse)), edited

    def _other_colour(
        self, sample: Sample, line: Line, background: Image.Image, random: np.random.Generator
    ) -> str:
        """Another colour for the line, legible if there is such a one."""
        colours = [name for name in COLOURS if name != line.colour]
        inks = self._inks(sample.background, tuple(colours), random)
        legible = set(inks(background.crop(line.box)))
        return text.pick([name for name in colours if name in legible] or colours, random)

    def _other(
        self, font: fonts.Font, old: Line, taken: list[Box], random: np.random.Generator
    ) -> tuple[str, PlacedText] | None:
        """Another text at the old one's place, clear of the boxes in `taken`.

        It has the same number of characters, unless it may have any length. None if no random text
        fits.
        """
        squares = bool(self.config.squares)
        resized = squares and random.random() < self.config.resized
        cell = next((r, c) for r in range(3) for c in range(3) if PLACES[r][c] == old.place)
        for _ in range(MAX_TRIES):
            content = self._text(squares and self.config.prominent == 1, random)
            alike = resized or list(map(_kind, content)) == list(map(_kind, old.text))
            if content == old.text or not alike or not fonts.covers(font, content):
                continue
            if resized:
                placed = self._in_squares(content, font, cell, random)
            else:
                placed = self._placed(content, font, old)
            if placed is None:
                continue
            inside = min(placed.box) >= 0 and max(placed.box) <= self.config.size
            if inside and not places.overlaps(placed.box, taken, self._margin):
                return content, placed
        return None

    def _placed(self, content: str, font: fonts.Font, old: Line) -> PlacedText:
        """The text at the size of the old line: in its squares, or centered on its baseline."""
        side, (left, top, right, _) = old.squares[0][3] - old.squares[0][1], old.box
        if self.config.squares:
            origin = self._set(old.text, font, round(side), (0, 0))
            corner = (int(left - origin.box[0]), int(top - origin.box[1]))
            return self._set(content, font, round(side), corner)
        em = BODY * side
        before, shape = TextShape.of(old.text, font, em), TextShape.of(content, font, em)
        if content == old.text:
            return shape.placed(old.box)
        width, height = shape.extent(em)
        top = round(top + (before.baseline - shape.baseline) * em / shape.em)
        left = round((left + right - width) / 2)
        return shape.placed((left, top, left + width, top + height))


def _kind(character: str) -> tuple[bool, bool]:
    """The properties of a character that determine the height of its row."""
    return ord(character) >= 0x2E80, character.isspace()


def _ink_colour(image: Image.Image, mask: Image.Image) -> RGB:
    """The colour of the ink: the median of the pixels that the mask covers most."""
    cover = np.asarray(mask)
    r, g, b = np.median(np.asarray(image)[cover == cover.max()], axis=0)
    return int(r), int(g), int(b)


def _instructions(
    line: Line, recoloured: bool, random: np.random.Generator, held_out: bool
) -> tuple[str, ...]:
    """Instructions in English and Chinese that ask for the line's text, or its colour."""
    written = HELD_OUT_WRITTEN if held_out else WRITTEN
    phrases = (HELD_OUT_RECOLOURED if held_out else RECOLOURED) if recoloured else written
    results = []
    for language, where in (("en", ENGLISH), ("zh", CHINESE)):
        pair = text.pick(QUOTES, random)
        phrase = text.pick(phrases[language], random)
        named = line.colour if language == "en" else COLOURS[line.colour].chinese
        quoted = pair[0] + line.text + pair[1]
        place = text.pick(where[line.place], random)
        results.append(phrase.format(text=quoted, colour=named, place=place))
    return tuple(results)
