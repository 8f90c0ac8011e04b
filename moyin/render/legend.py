"""What each token of a rendered image says: text of which kind lies there, or which ground.

A text id names the side of the character's square, which word of the text it is in and which of
that word's characters it is, where in the square this id's 32 x 32 pixels lie, and the colour; a
ground id names a mean colour. Strokes are no part of it: glyph tokens know them, but have no place
in the image, and that is what the ids are for. So the ids of a layout follow from the prompt
alone, and a generator need not guess any shape.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from moyin.dataset.sample import Line, Sample
from moyin.ocr.colours import COLOURS
from moyin.prompt.grid import PIXELS
from moyin.render.squares import letter_width

Array = np.ndarray[Any, Any]
Meaning = tuple[int, int, int, int, int]
COLOUR = {name: number for number, name in enumerate(COLOURS)}


@dataclass(frozen=True, kw_only=True)
class Legend:
    """sides: of the squares that are told apart, in pixels, multiples of 32, at least 64. words,
    letters: of a text of each side, at most so many, and characters in a word; empty: one word, as
    long as `width` pixels hold. levels: of each channel of a ground's colour.

    Text of another side, off the grid of ids or beyond those numbers gets the nearest id there is.
    """

    sides: tuple[int, ...] = (256, 128)
    words: tuple[int, ...] = ()
    letters: tuple[int, ...] = ()
    width: int = 512
    levels: int = 10

    def __post_init__(self) -> None:
        if not self.sides or any(side < 2 * PIXELS or side % PIXELS for side in self.sides):
            raise ValueError(
                f"sides={list(self.sides)}: each must be a multiple of {PIXELS}, from {2 * PIXELS}"
            )

    @property
    def count(self) -> int:
        """Ids that mean something, from 0."""
        return self.grounds + self.levels**3

    @cached_property
    def meanings(self) -> tuple[Meaning, ...]:
        """(side, word, character in the word, row, column) of the text ids, one entry for all
        colours.

        Row and column: of the id's centre from the square's, in halves of an id.
        """
        return tuple(
            (side, word, letter, row, column)
            for side, (words, letters) in self._held.items()
            for word in range(words)
            for letter in range(letters)
            for row in _rows(side)
            for column in _columns(side)
        )

    def ids(self, sample: Sample) -> Array:
        """The image's ids [rows, columns] uint16."""
        found = self._ground(sample.image)
        nearest = np.full(found.shape, np.inf)
        for line in sample.lines:
            self._write(line, found, nearest)
        return found

    def features(self) -> Array:
        """What each id means as numbers of about unit size, [count, F]: ids that share a part of
        their meaning share features."""
        text = np.repeat(np.array(self.meanings), len(COLOURS), 0)
        colours = np.tile(np.arange(len(COLOURS)), len(self.meanings))
        shared = ([0], [0, 1], [0, 2], [0, 1, 2], [0, 3], [0, 4], [0, 3, 4])
        parts = [text[:, which] for which in shared]
        named = np.concatenate([_one_hot(p) for p in (*parts, colours[:, None])], 1)
        rgb = np.array([c.rgb for c in COLOURS.values()], np.float32)[colours] / 127.5 - 1
        level = np.stack(np.unravel_index(np.arange(self.levels**3), (self.levels,) * 3), 1)
        ground = (2 * level + 1) / self.levels - 1
        rows = [np.concatenate([named, rgb, 0 * rgb], 1)]
        empty = np.zeros((len(ground), named.shape[1] + 3))
        rows += [np.concatenate([empty, ground], 1)]
        every: Array = np.concatenate(rows).astype(np.float32)
        return every

    def rows(self, codes: int, width: int, std: float) -> Array:
        """Starting values [codes, width] of an embedding of `codes` ids: what alike ids share of
        their meaning, they share of their rows. ValueError where the ids do not suffice."""
        if codes < self.count:
            raise ValueError(f"{codes} codes: the legend needs {self.count}")
        random = np.random.default_rng(0)
        found = std * random.standard_normal((codes, width))
        features = self.features()
        made = features @ random.standard_normal((features.shape[1], width))
        found[: self.count] = std * made / made.std(1, keepdims=True)
        start: Array = found.astype(np.float32)
        return start

    @property
    def grounds(self) -> int:
        """The first id of a ground: those before it are text."""
        return len(self.meanings) * len(COLOURS)

    @cached_property
    def _held(self) -> dict[int, tuple[int, int]]:
        """Words of a text and characters of a word, of each side."""
        words = self.words or (1,) * len(self.sides)
        letters = self.letters or tuple(self.width // side for side in self.sides)
        if not len(words) == len(letters) == len(self.sides):
            raise ValueError(
                f"words={list(words)}, letters={list(letters)}: one for each of {list(self.sides)}"
            )
        return dict(zip(self.sides, zip(words, letters, strict=True), strict=True))

    @cached_property
    def _number(self) -> dict[Meaning, int]:
        return {meaning: len(COLOURS) * i for i, meaning in enumerate(self.meanings)}

    def _ground(self, image: Array) -> Array:
        h, w = image.shape[0] // PIXELS, image.shape[1] // PIXELS
        cells = image[: h * PIXELS, : w * PIXELS].reshape(h, PIXELS, w, PIXELS, 3)
        level = (cells.mean((1, 3)) * self.levels / 256).astype(int)
        level = level @ np.array([self.levels**2, self.levels, 1])
        ids: Array = (self.grounds + level).astype(np.uint16)
        return ids

    def _write(self, line: Line, found: Array, nearest: Array) -> None:
        """Put in the ids of a line's characters, each where its centre is the nearest so far."""
        h, w = found.shape
        y, x = (np.mgrid[:h, :w] + 0.5) * PIXELS
        for (left, top, right, bottom), at in zip(line.squares, numbered(line.text), strict=True):
            if at is None:
                continue
            real = bottom - top
            side = min(self.sides, key=lambda s: abs(np.log(s / real)))
            down, across = y - (top + bottom) / 2, x - (left + right) / 2
            away = np.maximum(np.abs(down), np.abs(across))
            here = (away < max(real, PIXELS) / 2) & (away < nearest)
            nearest[here] = away[here]
            scale = 2 * side / real / PIXELS
            word, letter = (min(n, most - 1) for n, most in zip(at, self._held[side], strict=True))
            for r, c in np.argwhere(here):
                row = _closest(down[r, c] * scale, _rows(side))
                column = _closest(across[r, c] * scale, _columns(side))
                found[r, c] = self._number[side, word, letter, row, column] + COLOUR[line.colour]


def numbered(text: str) -> list[tuple[int, int] | None]:
    """Of each character, which word it is in and which of that word's it is; of blanks None."""
    found: list[tuple[int, int] | None] = [None] * len(text)
    for number, word in enumerate(re.finditer(r"\S+", text)):
        for letter, at in enumerate(range(*word.span())):
            found[at] = number, letter
    return found


def _rows(side: int) -> tuple[int, ...]:
    ids = side // PIXELS
    return tuple(range(1 - ids, ids, 2))


def _columns(side: int) -> tuple[int, ...]:
    """Also those of a letter, where its narrower cell has whole ids."""
    letter, rest = divmod(letter_width(side), PIXELS)
    return tuple(sorted({*_rows(side), *(() if rest else range(1 - letter, letter, 2))}))


def _closest(value: float, choices: tuple[int, ...]) -> int:
    return min(choices, key=lambda choice: abs(choice - value))


def _one_hot(rows: Array) -> Array:
    """[N, distinct rows]."""
    _, which = np.unique(rows, axis=0, return_inverse=True)
    hot: Array = np.eye(which.max() + 1)[which.reshape(-1)]
    return hot
