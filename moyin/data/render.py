"""Typographic pictures, made from nothing: a pure function of configuration, seed and index.

A picture is a background, one to three lines of text and sometimes a few pictured objects. Most
often it is one line of one to four large characters, from which reading and writing is learnt;
the rest has smaller and longer lines.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from moyin.data import assets, backgrounds, faces, places, text
from moyin.data.captions import captions
from moyin.data.colours import jittered
from moyin.data.phrasings import SETS
from moyin.data.sample import Box, Line, Sample, Thing
from moyin.data.shape import Shape, row_width
from moyin.prompt.grid import PIXELS

VERSION = 3  # goes up whenever the same configuration and seed give another picture


class Renderer:
    """Draws samples: `renderer(seed, index)` is the same picture on every call and machine."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        """Lengths in `large` and `small` are em sizes in pixels at 512x512, scaled with `size`.

        squares: instead of freely, set text in squares of one of these sides in pixels, the first
        that has room, each row of them with its corner on a grid of 32 pixels, the semantic ids'.
        """

        size: int = 512
        characters: int = 3500  # the most frequent so many hanzi, at most 8105
        words: float = 0.5  # share of texts made of words; the rest are characters drawn evenly
        chinese: float = 0.6  # share of Chinese lines; a tenth is numbers, the rest is English
        faces: tuple[str, ...] = ()  # by name; empty: all that ship
        prominent: float = 0.6  # share of pictures with one line of few large characters
        prominent_characters: int = 4
        middle: float = 0.25  # share of lines put in the middle; the rest goes anywhere
        large: tuple[int, int] = (90, 300)
        small: tuple[int, int] = (30, 84)
        squares: tuple[int, ...] = ()
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
            if not 1 <= self.characters <= 8105:
                raise ValueError(f"characters is a count from 1 to 8105, not {self.characters}")
            if self.phrasings not in SETS:
                raise ValueError(f"phrasings are {list(SETS)}, not {self.phrasings}")
            if not self.backgrounds or not known.issuperset(self.backgrounds):
                raise ValueError(f"backgrounds are {sorted(known)}, not {list(self.backgrounds)}")

        def build(self) -> Renderer:
            return Renderer(self)

    def __init__(self, config: Config) -> None:
        self.config = config
        self.faces = faces.find(config.faces or faces.shipped())
        self._scale = config.size / 512
        self._margin = 14 * self._scale

    def __call__(self, seed: int, index: int) -> Sample:
        """Picture `index` of the endless row that `seed` names."""
        random = np.random.Generator(np.random.Philox(key=(index << 64) | (seed & (2**64 - 1))))
        kinds = list(self.config.backgrounds)
        weights = np.array([self.config.backgrounds[kind] for kind in kinds], float)
        kind = kinds[int(random.choice(len(kinds), p=weights / weights.sum()))]
        image, background, colours = backgrounds.draw(kind, self.config.size, random)
        lines = self._lines(image, colours, random)
        things = self._things(image, lines, random)
        return Sample(
            picture=np.array(image),
            captions=captions(
                background, lines, things, self.config.captions, random, self.config.phrasings
            ),
            lines=tuple(lines),
            background=background,
            objects=tuple(things),
            seed=seed,
            index=index,
        )

    def _lines(
        self, image: Image.Image, colours: tuple[str, ...], random: np.random.Generator
    ) -> list[Line]:
        prominent = random.random() < self.config.prominent
        wanted = 1 if prominent else int(random.integers(1, self.config.max_lines + 1))
        lines: list[Line] = []
        for attempt in range(400):  # a line that finds no room is given up and another tried
            if len(lines) == wanted or (lines and attempt >= 20 * wanted):
                return lines
            line = self._line(image, colours, prominent, lines, random)
            lines += [line] if line else []
        raise ValueError("no line fits: ask for smaller text, or for faces that have these letters")

    def _line(
        self,
        image: Image.Image,
        colours: tuple[str, ...],
        prominent: bool,
        others: list[Line],
        random: np.random.Generator,
    ) -> Line | None:
        """Draw one more line, in a place of its own and clear of the others; None, with nothing
        drawn, where it has no room."""
        said = self._text(prominent, random)
        able = [face for face in self.faces if faces.covers(face, said)]
        if not able:
            return None
        face = text.pick(able, random)
        cell = self._cell(self.config.middle, [line.place for line in others], random)
        if self.config.squares:
            found = self._in_squares(said, face, cell, random)
        else:
            found = self._freely(said, face, cell, prominent, random)
        if found is None:
            return None
        shape, box = found
        if places.overlaps(box, [line.box for line in others], self._margin):
            return None
        ground = image.crop(box)
        colour = text.pick(backgrounds.legible(ground, colours), random)
        mask = shape.ink.resize(ground.size, Image.Resampling.BICUBIC)
        image.paste(jittered(colour, random), (int(box[0]), int(box[1])), mask)
        return Line(
            text=said,
            box=box,
            characters=shape.characters(box),
            squares=shape.squares(box),
            colour=colour,
            face=face.name,
            place=places.PLACES[cell[0]][cell[1]],
        )

    def _freely(
        self,
        said: str,
        face: faces.Face,
        cell: tuple[int, int],
        prominent: bool,
        random: np.random.Generator,
    ) -> tuple[Shape, Box] | None:
        """The line as its face sets it, at a size and in a box in the cell; None without room."""
        sizes = self.config.large if prominent else self.config.small
        shape = Shape.of(said, face, sizes[1] * self._scale)
        em = self._em(shape, cell, sizes, random)
        if em is None:
            return None
        box = places.box_in(cell, shape.extent(em), self.config.size, self._margin, random)
        return None if box is None else (shape, box)

    def _in_squares(
        self, said: str, face: faces.Face, cell: tuple[int, int], random: np.random.Generator
    ) -> tuple[Shape, Box] | None:
        """The line in the first squares that have room in the cell, and its box; None if none."""
        for side in self.config.squares:
            extent = (row_width(said, side), side)
            corner = places.row_in(cell, extent, self.config.size, PIXELS, random)
            if corner is not None:
                shape, inside = Shape.in_squares(said, face, side)
                left, top = corner[0] + inside[0], corner[1] + inside[1]
                right, bottom = left + shape.ink.width, top + shape.ink.height
                return shape, (float(left), float(top), float(right), float(bottom))
        return None

    def _cell(
        self, middle: float, taken: list[str], random: np.random.Generator
    ) -> tuple[int, int]:
        """Row and column of a free place: the middle in that share of the draws, else any."""
        if random.random() < middle and "middle" not in taken:
            return 1, 1
        free = [(r, c) for r in range(3) for c in range(3) if places.PLACES[r][c] not in taken]
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
                things.append(self._thing(image, box, places.PLACES[cell[0]][cell[1]], random))
            if len(things) == wanted:
                break
        return things

    def _thing(
        self, image: Image.Image, box: Box, place: str, random: np.random.Generator
    ) -> Thing:
        number = int(random.integers(len(assets.object_names())))
        name = assets.object_names()[number]
        side = round(box[2] - box[0])
        picture = assets.object_picture(number).resize((side, side), Image.Resampling.BICUBIC)
        image.paste(picture, (int(box[0]), int(box[1])), picture)
        return Thing(name.english, name.chinese, box, place)
