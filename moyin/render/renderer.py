"""Render text images: a pure function of configuration, seed and index.

An image is a common layout such as a menu (`layouts`), or has lines placed freely: a background,
one to three lines of text and sometimes a few objects. Most of the latter have one line of one to
four large characters; the others have smaller and longer lines.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from PIL import Image

from moyin.dataset.sample import Box, DrawnObject, Line, Sample
from moyin.ocr.colours import COLOURS, jittered
from moyin.ocr.places import PLACES, place_of
from moyin.prompt.grid import PIXELS
from moyin.render import assets, backgrounds, fonts, places, squares, text
from moyin.render.captions import captions
from moyin.render.character_schedule import CharacterSchedule
from moyin.render.compose import Composition, LayoutRequest, MissingGlyph, compose
from moyin.render.layouts import FREE, Layout, shipped
from moyin.render.phrases import Phrases
from moyin.render.phrasings import SETS
from moyin.render.text_shape import PlacedText, TextShape
from moyin.render.typesetting import Row

VERSION = 9  # increases whenever the same configuration and seed give another image
Inks = Callable[[Image.Image], tuple[str, ...]]  # the colours a line may have on this background
MAX_DRAFTS = 200  # of one image, each dropped because a font lacked a glyph


class Renderer:
    """Renders samples: `renderer(seed, index)` is the same image on every call and machine."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Lengths in `large` and `small` are em sizes in pixels at 512x512, scaled with `size`.

        squares: instead of freely, set text in squares of one of these sides in pixels, the first
        that has room, each row of them with its corner on a grid of 32 pixels, the tokens'.
        square_words, square_letters: of a text that is set in squares of each side, at most so
        many, and characters in a word; in several rows. Empty: one row, however long.
        """

        size: int = 512
        characters: int = 3500  # number of Chinese characters, the most frequent; at most 8105
        words: float = 0.5  # share of texts made of words; the rest are uniform random characters
        chinese: float = 0.6  # share of Chinese lines; 10 % are numbers, the rest is English
        traditional: float = 0.15  # share of layouts' Chinese in traditional characters
        mixed: float = 0.15  # share of layouts in both languages
        fonts: tuple[str, ...] = ()  # by name; empty: all included ones and those of font_folder
        font_folder: str = ""  # more fonts; a subfolder named as a style holds fonts of that style
        layouts: Mapping[str, float] = field(default_factory=lambda: {FREE: 1.0})  # weight by name
        effects: float = 0.5  # share of layouts' main texts with effects
        surfaces: float = 0.25  # share of layouts seen in perspective in a photograph
        prominent: float = 0.6  # share of images with one line of few large characters
        prominent_characters: int = 4
        middle: float = 0.25  # share of lines in the middle; the others are anywhere
        clashing: float = 0.0  # share of flat images whose free lines may have an illegible colour
        spread: float = 1.0  # how far lines are from the middle of their place; 0: not at all
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
        phrasings: str = "seen"  # name of the set of caption templates

        def __post_init__(self) -> None:
            known = set(backgrounds.KINDS)
            if self.size < 64:
                raise ValueError(f"size must be at least 64, not {self.size}")
            if not 0 <= self.spread <= 1:
                raise ValueError(f"spread must be in [0, 1], not {self.spread}")
            if not 0 <= self.clashing <= 1:
                raise ValueError(f"clashing must be in [0, 1], not {self.clashing}")
            if not 1 <= self.characters <= 8105:
                raise ValueError(f"characters must be from 1 to 8105, not {self.characters}")
            layouts = {FREE, *shipped()}
            if not self.layouts or not layouts.issuperset(self.layouts):
                raise ValueError(f"layouts must be of {sorted(layouts)}, not {list(self.layouts)}")
            if self.phrasings not in SETS:
                raise ValueError(f"phrasings must be one of {list(SETS)}, not {self.phrasings}")
            centered = self.prominent == self.middle == 1 and not self.object_share
            if self.phrasings.startswith("brief") and FREE in self.layouts and not centered:
                raise ValueError(
                    f"phrasings={self.phrasings} do not name places: "
                    "set prominent=1, middle=1 and object_share=0"
                )
            if not self.backgrounds or not known.issuperset(self.backgrounds):
                raise ValueError(
                    f"backgrounds must be of {sorted(known)}, not {list(self.backgrounds)}"
                )

        def build(self) -> Renderer:
            return Renderer(self)

    def __init__(self, config: Config) -> None:
        self.config = config
        for name in ("square_words", "square_letters"):
            limits = getattr(config, name)
            if len(limits) != len(config.squares) and (
                config.square_words or config.square_letters
            ):
                raise ValueError(
                    f"{name}={list(limits)}: one for each of squares={list(config.squares)}"
                )
        self.fonts = fonts.find(config.fonts, config.font_folder)
        longest = min(4, config.prominent_characters, config.max_characters)
        self.schedule = CharacterSchedule(
            config.characters, config.chinese * (1 - config.words), longest
        )
        self._phrases = Phrases(config.characters)
        self._scale = config.size / 512
        self._margin = 14 * self._scale
        lacking = set(assets.frequent_characters()[: config.characters])
        lacking = {c for c in lacking if not any(fonts.covers(font, c) for font in self.fonts)}
        if config.chinese and lacking:
            examples = "".join(sorted(lacking)[:10])
            raise ValueError(
                f"{len(lacking)} of the {config.characters} characters have no glyph in the"
                f" fonts, such as {examples}: use other fonts, or fewer characters"
            )

    def __call__(self, seed: int, index: int) -> Sample:
        """Image `index` of the sequence of `seed`. A draft with a character that its font lacks is
        dropped, and counted in the sample."""
        required = self.schedule(seed, index)
        for draft in range(MAX_DRAFTS):
            random = _generator(seed, index, draft)
            layout = _weighted(self.config.layouts, random)
            compose_image = self._compose_free if layout == FREE else self._compose_layout
            try:
                composition = compose_image(layout, required, random)
            except MissingGlyph:
                continue
            return self._sample(composition, layout, seed, index, draft, random)
        raise ValueError(
            f"{MAX_DRAFTS} drafts of image {index} had characters without a glyph: add fonts"
        )

    def _sample(
        self,
        composition: Composition,
        layout: str,
        seed: int,
        index: int,
        draft: int,
        random: np.random.Generator,
    ) -> Sample:
        config = self.config
        return Sample(
            image=np.array(composition.image),
            captions=captions(
                composition.background,
                composition.lines,
                composition.objects,
                config.captions,
                random,
                config.phrasings,
                layout,
                config.size,
            ),
            lines=tuple(composition.lines),
            background=composition.background,
            objects=tuple(composition.objects),
            seed=seed,
            index=index,
            layout="" if layout == FREE else layout,
            dropped=draft,
        )

    def background(self, sample: Sample) -> Image.Image:
        """The image of a sample with freely placed lines, without its lines and objects."""
        random = _generator(sample.seed, sample.index, sample.dropped)
        _weighted(self.config.layouts, random)
        return self._draw_background(random)[0]

    def _compose_layout(
        self, layout: str, required: str, random: np.random.Generator
    ) -> Composition:
        config = self.config
        request = LayoutRequest(
            size=config.size,
            layout=shipped()[layout],
            script=self._script(shipped()[layout], required, random),
            required=required,
            phrases=self._phrases,
            effects=config.effects,
            surfaces=config.surfaces,
            objects=config.object_share,
        )
        result = compose(request, self.fonts, random)
        result.lines = [
            replace(x, place=place_of(x.box, config.size, config.size)) for x in result.lines
        ]
        result.objects = [
            replace(x, place=place_of(x.box, config.size, config.size)) for x in result.objects
        ]
        return result

    def _script(self, layout: Layout, required: str, random: np.random.Generator) -> str:
        """zh, hant, en or mixed; simplified Chinese if characters are required."""
        if required:
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
        """Whether an image without required characters is Chinese. Together with the images that
        have some, the share is `config.chinese`."""
        scheduled = self.schedule.share
        return random.random() * (1 - scheduled) < self.config.chinese - scheduled

    def _compose_free(self, layout: str, required: str, random: np.random.Generator) -> Composition:
        image, background, colours = self._draw_background(random)
        lines = self._lines(image, self._inks(background, colours, random), required, random)
        objects = self._objects(image, lines, random)
        return Composition(image, background, lines, objects)

    def _inks(
        self, background: Mapping[str, str], colours: tuple[str, ...], random: np.random.Generator
    ) -> Inks:
        """The colours that a line may have: those of `colours` that are legible on the background,
        or all but the background's colour in images with clashing colours."""
        # No random number is drawn if the share is 0, so that the images do not depend on it.
        flat = background["kind"] == "flat" and self.config.clashing > 0
        if flat and random.random() < self.config.clashing:
            others = tuple(name for name in COLOURS if name != background["colour"])
            return lambda background: others
        return lambda background: backgrounds.legible(background, colours)

    def _draw_background(self, random: np.random.Generator) -> backgrounds.Background:
        kind = _weighted(self.config.backgrounds, random)
        return backgrounds.draw(kind, self.config.size, random)

    def _lines(
        self, image: Image.Image, inks: Inks, required: str, random: np.random.Generator
    ) -> list[Line]:
        prominent = random.random() < self.config.prominent
        count = 1 if prominent else int(random.integers(1, self.config.max_lines + 1))
        lines: list[Line] = []
        for attempt in range(400):  # a text without room is replaced by another one
            if len(lines) == count or (lines and attempt >= 20 * count):
                return lines
            content = self._text(prominent, random) if lines or not required else required
            line = self._line(image, inks, content, prominent, lines, random)
            lines += [line] if line else []
        raise ValueError("no line fits: use smaller text, or fonts that have these letters")

    def _line(
        self,
        image: Image.Image,
        inks: Inks,
        content: str,
        prominent: bool,
        others: list[Line],
        random: np.random.Generator,
    ) -> Line | None:
        """Draw one more line, clear of the others. None, with nothing drawn, if it has no room."""
        usable = [font for font in self.fonts if fonts.covers(font, content)]
        if not usable:
            return None
        font = text.pick(usable, random)
        cell = self._cell(self.config.middle, [line.place for line in others], random)
        if self.config.squares:
            placed = self._in_squares(content, font, cell, random)
        else:
            placed = self._freely(content, font, cell, prominent, random)
        if placed is None:
            return None
        if places.overlaps(placed.box, [line.box for line in others], self._margin):
            return None
        colour = text.pick(inks(image.crop(placed.box)), random)
        image.paste(jittered(colour, random), placed.corner, placed.ink)
        return Line(
            text=content,
            box=placed.box,
            characters=placed.characters,
            squares=placed.squares,
            colour=colour,
            font=font.name,
            place=PLACES[cell[0]][cell[1]],
        )

    def _freely(
        self,
        content: str,
        font: fonts.Font,
        cell: tuple[int, int],
        prominent: bool,
        random: np.random.Generator,
    ) -> PlacedText | None:
        """The line at a random size and position in the cell; None if it has no room."""
        sizes = self.config.large if prominent else self.config.small
        shape = TextShape.of(content, font, sizes[1] * self._scale)
        em = self._em(shape, cell, sizes, random)
        if em is None:
            return None
        extent, spread = shape.extent(em), self.config.spread
        box = places.box_in(cell, extent, self.config.size, self._margin, random, spread)
        return None if box is None else shape.placed(box)

    def _in_squares(
        self, content: str, font: fonts.Font, cell: tuple[int, int], random: np.random.Generator
    ) -> PlacedText | None:
        """The line in the largest squares that have room in the cell; None if it has no room."""
        config = self.config
        longest = max(map(len, content.split()))
        for number, side in enumerate(config.squares):
            extent = squares.extent(content, self._rows(content, side), side)
            corner = places.row_in(cell, extent, config.size, PIXELS, random, config.spread)
            short = not config.square_words or (
                len(content.split()) <= config.square_words[number]
                and longest <= config.square_letters[number]
            )
            if corner is not None and short:
                return self._set(content, font, side, corner)
        return None

    def _set(
        self, content: str, font: fonts.Font, side: int, corner: tuple[int, int]
    ) -> PlacedText:
        """A line in squares whose top left is at the corner."""
        return squares.placed(content, self._rows(content, side), font, side, corner)

    def _rows(self, content: str, side: int) -> list[Row]:
        several = self.config.square_words
        return squares.broken(content, side, self.config.size) if several else [(0, len(content))]

    def _cell(
        self, middle: float, taken: list[str], random: np.random.Generator
    ) -> tuple[int, int]:
        """Row and column of a free place: the middle with probability `middle`, else any."""
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
        shape: TextShape,
        cell: tuple[int, int],
        sizes: tuple[int, int],
        random: np.random.Generator,
    ) -> float | None:
        """A random em within `sizes` at which the line fits its cell; None if none does."""
        across = places.room(cell[1], self.config.size, self._margin) / shape.ink.width
        down = places.room(cell[0], self.config.size, self._margin) / shape.ink.height
        least = sizes[0] * self._scale
        limit = min(sizes[1] * self._scale, 0.99 * shape.em * min(across, down))
        # The square root makes large sizes more likely.
        return least + (limit - least) * random.random() ** 0.5 if limit > least else None

    def _objects(
        self, image: Image.Image, lines: list[Line], random: np.random.Generator
    ) -> list[DrawnObject]:
        if random.random() >= self.config.object_share:
            return []
        count = int(random.integers(1, self.config.max_objects + 1))
        least, most = self.config.object_sizes
        objects: list[DrawnObject] = []
        for _ in range(12 * count):
            side = round(random.uniform(least, most) * self._scale)
            taken: list[Line | DrawnObject] = [*lines, *objects]
            cell = self._cell(0.0, [item.place for item in taken], random)
            box = places.box_in(cell, (side, side), self.config.size, self._margin, random)
            boxes = [item.box for item in taken]
            if box is not None and not places.overlaps(box, boxes, self._margin / 2):
                objects.append(self._draw_object(image, box, PLACES[cell[0]][cell[1]], random))
            if len(objects) == count:
                break
        return objects

    def _draw_object(
        self, image: Image.Image, box: Box, place: str, random: np.random.Generator
    ) -> DrawnObject:
        number = int(random.integers(len(assets.object_names())))
        name = assets.object_names()[number]
        side = round(box[2] - box[0])
        picture = assets.object_image(number).resize((side, side), Image.Resampling.BICUBIC)
        image.paste(picture, (int(box[0]), int(box[1])), picture)
        return DrawnObject(name.english, name.chinese, box, place)


def _generator(seed: int, index: int, draft: int) -> np.random.Generator:
    """The random numbers of one draft of an image."""
    key = (index << 64) | (seed & (2**64 - 1))
    return np.random.Generator(np.random.Philox(key=key, counter=draft << 192))


def _weighted(weights: Mapping[str, float], random: np.random.Generator) -> str:
    """A random name, by weight."""
    share = np.array(list(weights.values()), float)
    return list(weights)[int(random.choice(len(share), p=share / share.sum()))]
