"""What each semantic token of nano's rendered images means, by rule.

A text token says the side of its character's square, which word of the text the character is in and
its number in the word, where in the square the token's 32 × 32 pixels lie, and the colour. A ground
token says a mean colour. Strokes are no part of it: glyph states have them, but no position in the
image, which is what the tokens are for. So the tokens of a layout follow from the prompt alone, and
a generator need not guess any shape.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
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
class CodebookLayout:
    """sides: of the squares that have tokens, in pixels: multiples of 32, at least 64. words,
    letters: for each side, most words of a text and most characters of a word; empty: one word, as
    long as `width` pixels hold. levels: per channel of a ground's colour.

    Text of another side, off the token grid or beyond these numbers has the nearest token.
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
        """Number of tokens with a meaning; they start at 0."""
        return self.grounds + self.levels**3

    @cached_property
    def meanings(self) -> tuple[Meaning, ...]:
        """(side, word, character in the word, row, column) of the text tokens, one entry for all
        colours.

        Row and column: of the token's centre relative to the square's, in halves of a token.
        """
        return tuple(
            (side, word, letter, row, column)
            for side, (words, letters) in self._held.items()
            for word in range(words)
            for letter in range(letters)
            for row in _rows(side)
            for column in _columns(side)
        )

    @property
    def renderer_options(self) -> dict[str, Any]:
        """Fields of `Renderer.Config` with which text is set in the layout's squares."""
        return {
            "squares": self.sides,
            "square_words": self.words,
            "square_letters": self.letters,
        }

    def ids(self, sample: Sample) -> Array:
        """The image's tokens [rows, columns] uint16."""
        tokens = self._ground(sample.image)
        nearest = np.full(tokens.shape, np.inf)
        for line in sample.lines:
            self._write(line, tokens, nearest)
        return tokens

    def features(self) -> Array:
        """Features [count, F] float32 of about unit size: tokens that share a part of their meaning
        share features."""
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
        """Initial values [codes, width] float32 of an embedding of `codes` tokens: a fixed random
        projection of the features. ValueError where there are fewer codes than tokens."""
        if codes < self.count:
            raise ValueError(f"{codes} codes: the codebook layout needs {self.count}")
        random = np.random.default_rng(0)
        rows = std * random.standard_normal((codes, width))
        features = self.features()
        projected = features @ random.standard_normal((features.shape[1], width))
        rows[: self.count] = std * projected / projected.std(1, keepdims=True)
        start: Array = rows.astype(np.float32)
        return start

    @property
    def grounds(self) -> int:
        """The first ground token; those before it are text."""
        return len(self.meanings) * len(COLOURS)

    @cached_property
    def _held(self) -> dict[int, tuple[int, int]]:
        """Words of a text and characters of a word, for each side."""
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
        tokens: Array = (self.grounds + level).astype(np.uint16)
        return tokens

    def _write(self, line: Line, tokens: Array, nearest: Array) -> None:
        """Set the tokens of a line's characters where their centre is nearer than any before."""
        h, w = tokens.shape
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
                tokens[r, c] = self._number[side, word, letter, row, column] + COLOUR[line.colour]


def numbered(text: str) -> list[tuple[int, int] | None]:
    """Each character's word and its number in that word, from 0; None for blanks."""
    places: list[tuple[int, int] | None] = [None] * len(text)
    for number, word in enumerate(re.finditer(r"\S+", text)):
        for letter, at in enumerate(range(*word.span())):
            places[at] = number, letter
    return places


def _rows(side: int) -> tuple[int, ...]:
    ids = side // PIXELS
    return tuple(range(1 - ids, ids, 2))


def _columns(side: int) -> tuple[int, ...]:
    """Also those of a letter, where its narrower cell has whole tokens."""
    letter, rest = divmod(letter_width(side), PIXELS)
    return tuple(sorted({*_rows(side), *(() if rest else range(1 - letter, letter, 2))}))


def _closest(value: float, choices: tuple[int, ...]) -> int:
    return min(choices, key=lambda choice: abs(choice - value))


def _one_hot(rows: Array) -> Array:
    """[N, distinct rows]."""
    _, which = np.unique(rows, axis=0, return_inverse=True)
    hot: Array = np.eye(which.max() + 1)[which.reshape(-1)]
    return hot


def recorded_layout(configuration: Mapping[str, Any]) -> CodebookLayout | None:
    """The layout of a recorded training configuration, whose auxiliaries hold it; None where it
    has none."""
    for auxiliary in configuration.get("objective.auxiliary", ()):
        if "codebook_layout" in auxiliary:
            fields = auxiliary["codebook_layout"]
            lists = {name: tuple(fields[name]) for name in ("sides", "words", "letters")}
            return CodebookLayout(**(fields | lists))
    return None
