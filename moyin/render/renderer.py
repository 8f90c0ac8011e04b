"""Typographic images, made from nothing: a pure function of configuration, seed and index.

An image is a layout that people know, such as a menu (`layouts`), or else lines placed freely: a
background, one to three lines of text and sometimes a few pictured objects. Of these most have one
line of one to four large characters, from which reading and writing is learnt; the rest has smaller
and longer lines.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from PIL import Image

from moyin.dataset.sample import Box, Line, Sample, Thing
from moyin.ocr.colours import COLOURS, jittered
from moyin.ocr.places import PLACES, place_of
from moyin.prompt.grid import PIXELS
from moyin.render import assets, backgrounds, fonts, places, squares, text
from moyin.render.captions import captions
from moyin.render.compose import Composition, Missing, Wish, compose
from moyin.render.interleaver import Turns
from moyin.render.layouts import FREE, Layout, shipped
from moyin.render.phrases import Phrases
from moyin.render.phrasings import SETS
from moyin.render.text_shape import Placed, Shape
from moyin.render.typesetting import Row

VERSION = 9  # goes up whenever the same configuration and seed give another image
Inks = Callable[[Image.Image], tuple[str, ...]]  # colours for a line, by what lies under it
DRAFTS = 200  # of one image, before its fonts are held to lack what it needs


class Renderer:
    """Draws samples: `renderer(seed, index)` is the same image on every call and machine."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Lengths in `large` and `small` are em sizes in pixels at 512x512, scaled with `size`.

        squares: instead of freely, set text in squares of one of these sides in pixels, the first
        that has room, each row of them with its corner on a grid of 32 pixels, the tokens'.
        square_words, square_letters: of a text that is set in squares of each side, at most so
        many, and characters in a word; in several rows. Empty: one row, however long.
        """

        size: int = 512
        characters: int = 3500  # the most frequent so many hanzi, at most 8105
        words: float = 0.5  # share of texts made of words; the rest are characters drawn evenly
        chinese: float = 0.6  # share of Chinese lines; a tenth is numbers, the rest is English
        traditional: float = 0.15  # share of layouts' Chinese in traditional characters
        mixed: float = 0.15  # share of layouts in both languages
        fonts: tuple[str, ...] = ()  # by name; empty: all that ship, and all of font_folder
        font_folder: str = ""  # with more fonts; a folder named as a style holds fonts of it
        layouts: Mapping[str, float] = field(default_factory=lambda: {FREE: 1.0})  # by weight
        effects: float = 0.5  # share of layouts' main texts that have some
        surfaces: float = 0.25  # share of layouts that are seen at an angle in a photograph
        prominent: float = 0.6  # share of images with one line of few large characters
        prominent_characters: int = 4
        middle: float = 0.25  # share of lines put in the middle; the rest goes anywhere
        clashing: float = 0.0  # share of images on flat grounds whose free lines have any colour
        spread: float = 1.0  # how far lines stray in their place; 0 puts each in its middle
        large: tuple[int, int] = (90, 300)
        small: tuple[int, int] = (30, 84)
        squares: tuple[int, ...] = ()
        square_words: tuple[int, ...] = ()
        square_letters: tuple[int, ...] = ()
        max_lines: int = 3
        max_characters: int = 12
        object_share: float = 0.25
        object_sizes: tuple[int, int] = (80, 200)
        max_objects: int = 2
        backgrounds: Mapping[str, float] = field(
            default_factory=lambda: {
                "flat": 0.55,
                "gradient": 0.15,
                "texture": 0.18,
                "photograph": 0.12,
            }
        )
        captions: int = 3  # in each language
        phrasings: str = "seen"  # the set they are drawn from; held-out ones are the rest

        def __post_init__(self) -> None:
            known = set(backgrounds.KINDS)
            if self.size < 64:
                raise ValueError(f"size {self.size} is too small to write on; take 64 or more")
            if not 0 <= self.spread <= 1:
                raise ValueError(f"spread is a share from 0 to 1, not {self.spread}")
            if not 0 <= self.clashing <= 1:
                raise ValueError(f"clashing is a share from 0 to 1, not {self.clashing}")
            if not 1 <= self.characters <= 8105:
                raise ValueError(f"characters is a count from 1 to 8105, not {self.characters}")
            layouts = {FREE, *shipped()}
            if not self.layouts or not layouts.issuperset(self.layouts):
                raise ValueError(f"layouts are {sorted(layouts)}, not {list(self.layouts)}")
            if self.phrasings not in SETS:
                raise ValueError(f"phrasings are {list(SETS)}, not {self.phrasings}")
            alone = self.prominent == self.middle == 1 and not self.object_share
            if self.phrasings.startswith("brief") and FREE in self.layouts and not alone:
                wanted = "prominent=1, middle=1 and object_share=0"
                raise ValueError(f"phrasings={self.phrasings} leave places unsaid: set {wanted}")
            if not self.backgrounds or not known.issuperset(self.backgrounds):
                raise ValueError(f"backgrounds are {sorted(known)}, not {list(self.backgrounds)}")

        def build(self) -> Renderer:
            return Renderer(self)

    def __init__(self, config: Config) -> None:
        self.config = config
        for name in ("square_words", "square_letters"):
            given = getattr(config, name)
            if len(given) != len(config.squares) and (config.square_words or config.square_letters):
                told = f"{name}={list(given)}: one for each of squares={list(config.squares)}"
                raise ValueError(told)
        self.fonts = fonts.find(config.fonts, config.font_folder)
        longest = min(4, config.prominent_characters, config.max_characters)
        self.turns = Turns(config.characters, config.chinese * (1 - config.words), longest)
        self._phrases = Phrases(config.characters)
        self._scale = config.size / 512
        self._margin = 14 * self._scale
        lacking = set(assets.frequent_characters()[: config.characters])
        lacking = {c for c in lacking if not any(fonts.covers(font, c) for font in self.fonts)}
        if config.chinese and lacking:
            some = "".join(sorted(lacking)[:10])
            raise ValueError(
                f"{len(lacking)} of the {config.characters} characters have no glyph in the"
                f" fonts, such as {some}: name fonts that have them, or lower characters"
            )

    def __call__(self, seed: int, index: int) -> Sample:
        """Image `index` of the endless row that `seed` names. A draft with a character that its
        font lacks is dropped, and counted in the sample."""
        turn = self.turns(seed, index)
        for draft in range(DRAFTS):
            random = _stream(seed, index, draft)
            layout = _weighted(self.config.layouts, random)
            try:
                made = (self._free if layout == FREE else self._sheet)(layout, turn, random)
            except Missing:
                continue
            background, lines, things = made.background, made.lines, made.things
            each, phrasings = self.config.captions, self.config.phrasings
            return Sample(
                image=np.array(made.image),
                captions=captions(
                    background, lines, things, each, random, phrasings, layout, self.config.size
                ),
                lines=tuple(lines),
                background=background,
                objects=tuple(things),
                seed=seed,
                index=index,
                layout="" if layout == FREE else layout,
                dropped=draft,
            )
        raise ValueError(
            f"{DRAFTS} drafts of image {index} had characters without a glyph: add fonts"
        )

    def ground(self, sample: Sample) -> Image.Image:
        """What lies under the lines and objects of one of its samples that are placed freely."""
        random = _stream(sample.seed, sample.index, sample.dropped)
        _weighted(self.config.layouts, random)
        return self._background(random)[0]

    def _sheet(self, layout: str, turn: str, random: np.random.Generator) -> Composition:
        config = self.config
        wish = Wish(
            size=config.size,
            layout=shipped()[layout],
            script=self._script(shipped()[layout], turn, random),
            said=turn,
            phrases=self._phrases,
            effects=config.effects,
            surfaces=config.surfaces,
            objects=config.object_share,
        )
        made = compose(wish, self.fonts, random)
        size = config.size
        made.lines = [replace(line, place=place_of(line.box, size, size)) for line in made.lines]
        made.things = [replace(one, place=place_of(one.box, size, size)) for one in made.things]
        return made

    def _script(self, layout: Layout, turn: str, random: np.random.Generator) -> str:
        """zh, hant, en or mixed; simplified where characters have their turn."""
        if turn:
            return "zh"
        language = "zh" if self._chinese(random) else "en"
        if language not in layout.languages:
            language = layout.languages[0]
        if language == "zh" and random.random() < self.config.traditional:
            return "hant"
        return (
            "mixed"
            if len(layout.languages) > 1 and random.random() < self.config.mixed
            else language
        )

    def _chinese(self, random: np.random.Generator) -> bool:
        """Whether an image without a turn is Chinese: together with the turns, that share is."""
        turns = self.turns.share
        return random.random() * (1 - turns) < self.config.chinese - turns

    def _free(self, layout: str, turn: str, random: np.random.Generator) -> Composition:
        image, background, colours = self._background(random)
        lines = self._lines(image, self._inks(background, colours, random), turn, random)
        things = self._things(image, lines, random)
        return Composition(image, background, lines, things)

    def _inks(
        self, background: Mapping[str, str], colours: tuple[str, ...], random: np.random.Generator
    ) -> Inks:
        """Which colours a line may have on what lies under it: those of `colours` that are legible
        there, or, where they may clash, all but the ground's."""
        # Without a share nothing is drawn by lot, and images stay what they were.
        flat = background["kind"] == "flat" and self.config.clashing > 0
        if flat and random.random() < self.config.clashing:
            others = tuple(name for name in COLOURS if name != background["colour"])
            return lambda ground: others
        return lambda ground: backgrounds.legible(ground, colours)

    def _background(self, random: np.random.Generator) -> backgrounds.Background:
        kind = _weighted(self.config.backgrounds, random)
        return backgrounds.draw(kind, self.config.size, random)

    def _lines(
        self, image: Image.Image, inks: Inks, turn: str, random: np.random.Generator
    ) -> list[Line]:
        prominent = random.random() < self.config.prominent
        wanted = 1 if prominent else int(random.integers(1, self.config.max_lines + 1))
        lines: list[Line] = []
        for attempt in range(400):  # a line that finds no room is given up and another tried
            if len(lines) == wanted or (lines and attempt >= 20 * wanted):
                return lines
            said = self._text(prominent, random) if lines or not turn else turn
            line = self._line(image, inks, said, prominent, lines, random)
            lines += [line] if line else []
        raise ValueError("no line fits: ask for smaller text, or for fonts that have these letters")

    def _line(
        self,
        image: Image.Image,
        inks: Inks,
        said: str,
        prominent: bool,
        others: list[Line],
        random: np.random.Generator,
    ) -> Line | None:
        """Draw one more line, in a place of its own and clear of the others; None, with nothing
        drawn, where it has no room."""
        able = [font for font in self.fonts if fonts.covers(font, said)]
        if not able:
            return None
        font = text.pick(able, random)
        cell = self._cell(self.config.middle, [line.place for line in others], random)
        if self.config.squares:
            found = self._in_squares(said, font, cell, random)
        else:
            found = self._freely(said, font, cell, prominent, random)
        if found is None:
            return None
        if places.overlaps(found.box, [line.box for line in others], self._margin):
            return None
        ground = image.crop(found.box)
        colour = text.pick(inks(ground), random)
        image.paste(jittered(colour, random), found.corner, found.ink)
        return Line(
            text=said,
            box=found.box,
            characters=found.characters,
            squares=found.squares,
            colour=colour,
            font=font.name,
            place=PLACES[cell[0]][cell[1]],
        )

    def _freely(
        self,
        said: str,
        font: fonts.Font,
        cell: tuple[int, int],
        prominent: bool,
        random: np.random.Generator,
    ) -> Placed | None:
        """The line as its font sets it, at a size and in a box in the cell; None without room."""
        sizes = self.config.large if prominent else self.config.small
        shape = Shape.of(said, font, sizes[1] * self._scale)
        em = self._em(shape, cell, sizes, random)
        if em is None:
            return None
        extent, spread = shape.extent(em), self.config.spread
        box = places.box_in(cell, extent, self.config.size, self._margin, random, spread)
        return None if box is None else shape.placed(box)

    def _in_squares(
        self, said: str, font: fonts.Font, cell: tuple[int, int], random: np.random.Generator
    ) -> Placed | None:
        """The line in the first squares that have room for it in the cell; None if none have."""
        config = self.config
        longest = max(map(len, said.split()))
        for number, side in enumerate(config.squares):
            extent = squares.extent(said, self._rows(said, side), side)
            corner = places.row_in(cell, extent, config.size, PIXELS, random, config.spread)
            short = not config.square_words or (
                len(said.split()) <= config.square_words[number]
                and longest <= config.square_letters[number]
            )
            if corner is not None and short:
                return self._set(said, font, side, corner)
        return None

    def _set(self, said: str, font: fonts.Font, side: int, corner: tuple[int, int]) -> Placed:
        """A line in squares that begin at the corner."""
        return squares.placed(said, self._rows(said, side), font, side, corner)

    def _rows(self, said: str, side: int) -> list[Row]:
        several = self.config.square_words
        return squares.broken(said, side, self.config.size) if several else [(0, len(said))]

    def _cell(
        self, middle: float, taken: list[str], random: np.random.Generator
    ) -> tuple[int, int]:
        """Row and column of a free place: the middle in that share of the draws, else any."""
        if random.random() < middle and "middle" not in taken:
            return 1, 1
        free = [(r, c) for r in range(3) for c in range(3) if PLACES[r][c] not in taken]
        return text.pick(free, random)

    def _text(self, prominent: bool, random: np.random.Generator) -> str:
        config = self.config
        longest = config.prominent_characters if prominent else config.max_characters
        script = random.random()
        if script < config.chinese:
            return text.chinese(config.characters, longest, config.words, random)
        if script < config.chinese + 0.1:
            return text.number(longest, random)
        return text.english(longest, config.words, random)

    def _em(
        self,
        shape: Shape,
        cell: tuple[int, int],
        sizes: tuple[int, int],
        random: np.random.Generator,
    ) -> float | None:
        """An em size in the range of `sizes` at which the line fits its cell; None if none."""
        across = places.room(cell[1], self.config.size, self._margin) / shape.ink.width
        down = places.room(cell[0], self.config.size, self._margin) / shape.ink.height
        least = sizes[0] * self._scale
        limit = min(sizes[1] * self._scale, 0.99 * shape.em * min(across, down))
        # The root makes large sizes the likelier ones.
        return least + (limit - least) * random.random() ** 0.5 if limit > least else None

    def _things(
        self, image: Image.Image, lines: list[Line], random: np.random.Generator
    ) -> list[Thing]:
        if random.random() >= self.config.object_share:
            return []
        wanted = int(random.integers(1, self.config.max_objects + 1))
        least, most = self.config.object_sizes
        things: list[Thing] = []
        for _ in range(12 * wanted):
            side = round(random.uniform(least, most) * self._scale)
            taken: list[Line | Thing] = [*lines, *things]
            cell = self._cell(0.0, [item.place for item in taken], random)
            box = places.box_in(cell, (side, side), self.config.size, self._margin, random)
            boxes = [item.box for item in taken]
            if box is not None and not places.overlaps(box, boxes, self._margin / 2):
                things.append(self._thing(image, box, PLACES[cell[0]][cell[1]], random))
            if len(things) == wanted:
                break
        return things

    def _thing(
        self, image: Image.Image, box: Box, place: str, random: np.random.Generator
    ) -> Thing:
        number = int(random.integers(len(assets.object_names())))
        name = assets.object_names()[number]
        side = round(box[2] - box[0])
        thing = assets.object_image(number).resize((side, side), Image.Resampling.BICUBIC)
        image.paste(thing, (int(box[0]), int(box[1])), thing)
        return Thing(name.english, name.chinese, box, place)


def _stream(seed: int, index: int, draft: int) -> np.random.Generator:
    """What a draft of an image is drawn with."""
    key = (index << 64) | (seed & (2**64 - 1))
    return np.random.Generator(np.random.Philox(key=key, counter=draft << 192))


def _weighted(weights: Mapping[str, float], random: np.random.Generator) -> str:
    """One of the names, drawn by weight."""
    share = np.array(list(weights.values()), float)
    return list(weights)[int(random.choice(len(share), p=share / share.sum()))]
