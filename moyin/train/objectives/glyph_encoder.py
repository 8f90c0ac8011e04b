"""The glyph encoder: from a string's bytes, what each of its characters looks like, and where.

Strings of random characters are encoded. The bytes of a character share its bitmap out among them
from top to bottom (a Chinese character has three), and from the state of each, one linear map must
give its band of rows and another the character's number in its word and the word's in the string.
So a decoder that attends to one byte gets one part of one character, and can read it linearly. Both
maps are thrown away.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Any, ClassVar

import numpy as np
from PIL import Image, ImageDraw

from moyin.backend import Tensor, nn, ops
from moyin.models.glyph_encoder import GlyphEncoder
from moyin.prompt.quotes import glyph_bytes
from moyin.render import assets, fonts
from moyin.train.objectives import plan
from moyin.train.objectives.base import Array, Batch, Objective, SampleRng, Source

LATIN = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789&!?.,'-:"


class GlyphObjective(Objective):
    """Bitmap and place of every character of random strings."""

    stage: ClassVar[str] = "glyph"

    @dataclass(frozen=True, kw_only=True)
    class Config(Objective.Config):
        """characters: how many Chinese characters, the most frequent first, beside Latin ones.

        side: of the bitmap; words: of a string, with blanks between; longest: characters in a word;
        latin: share of the updates whose strings are of Latin characters but for one; font: whose
        shapes are learned.
        """

        stage: ClassVar[str] = "glyph"
        network: GlyphEncoder.Config = field(default_factory=GlyphEncoder.Config)
        characters: int = 8105
        side: int = 24
        words: int = 1
        longest: int = 6
        latin: float = 0.0
        font: str = "NotoSansSC-Bold"
        place_weight: float = 0.05

        def build(self, source: Source, start: Any) -> GlyphObjective:
            return GlyphObjective(self, start or self.network.build())

    def __init__(self, config: Config, network: GlyphEncoder) -> None:
        super().__init__()
        self.config, self.network = config, network
        self.shape = nn.Linear(network.config.hidden, config.side**2)
        self.place = nn.Linear(network.config.hidden, config.longest + config.words)
        self.characters = tuple(LATIN) + assets.frequent_characters()[: config.characters]
        self.bitmaps = np.stack([bitmap(c, config.font, config.side) for c in self.characters])

    @property
    def count(self) -> int:
        return len(self.characters)

    def batch(self, indices: Array, sample_rng: SampleRng) -> Batch:
        """Strings that each hold one of the characters of `indices` among random ones.

        All of an update have as many characters in as many words, so that little is padding.
        """
        rng, side = sample_rng.together("strings"), self.config.side
        lengths, padded = self._lengths(rng), bool(rng.integers(2))
        known = self.count if rng.random() < 1 - self.config.latin else len(LATIN)
        numbers = np.empty((len(indices), sum(lengths)), np.int64)
        for row, index in enumerate(indices):
            own = sample_rng.of(row, "strings")
            numbers[row] = own.integers(0, known, sum(lengths))
            numbers[row, own.integers(sum(lengths))] = index
        ends = np.cumsum(lengths)[:-1]
        strings = [
            " ".join("".join(self.characters[n] for n in word) for word in np.split(row, ends))
            for row in numbers
        ]
        ids, mask = encoded(strings, padded=padded)
        owner, band = owners(strings, ids.shape[1], padded=bool(ids[0, 0] == 0), side=side)
        shapes = self.bitmaps[np.take_along_axis(numbers, np.maximum(owner, 0), 1)]
        word = np.repeat(np.arange(len(lengths)), lengths)
        letter = np.concatenate([np.arange(n) for n in lengths])
        return {
            "tokens": ids,
            "mask": mask,
            "owner": owner,
            "word": word[owner],
            "letter": letter[owner],
            "target": shapes.reshape(*owner.shape, side, side).astype(np.float32) / 127.5 - 1,
            "band": band,
        }

    def _lengths(self, rng: np.random.Generator) -> list[int]:
        """Characters of each word: of half of the strings, one word."""
        several = self.config.words > 1 and rng.random() < 0.5
        words = 1 + _drawn(rng, self.config.words - 1) if several else 1
        return [_drawn(rng, self.config.longest) for _ in range(words)]

    def loss(self, batch: dict[str, Tensor], dtype: Any) -> tuple[Tensor, dict[str, Tensor]]:
        states = self.network(batch["tokens"], batch["mask"], dtype=dtype)
        shape = ops.reshape(ops.cast(self.shape(states), ops.float32), batch["target"].shape)
        wrong = ops.mean(ops.square(shape - batch["target"]), -1)
        error = ops.sum(wrong * batch["band"]) / ops.sum(batch["band"])
        told = self.place(states)
        owned = ops.cast(batch["owner"] >= 0, ops.float32)
        most = self.config.longest
        entropy = plan.entropies(told[:, :, :most], batch["letter"])
        if self.config.words > 1:
            entropy = entropy + plan.entropies(told[:, :, most:], batch["word"])
        # Every string counts alike, so that a batch may be cut anywhere.
        of_each = ops.sum(entropy * owned, 1) / ops.sum(owned, 1)
        misplaced = ops.mean(of_each)
        loss = error + self.config.place_weight * misplaced
        shown = {"bitmap_error": error, "place_error": misplaced}
        return loss, {name: ops.stop_gradient(one) for name, one in shown.items()}


def _drawn(rng: np.random.Generator, most: int) -> int:
    """From 1 to `most`, the more often the greater: only long words have late letters."""
    return 1 + int(most * rng.random() ** 0.5)


def encoded(strings: list[str], padded: bool) -> tuple[Array, Array]:
    """Byte ids and mask [B, L]; padded: with the pad that an even number of strings gets."""
    parity = strings + [""] * ((len(strings) + (not padded)) % 2)
    ids, mask = glyph_bytes(parity)
    return ids[: len(strings)], mask[: len(strings)]


def owners(strings: list[str], length: int, padded: bool, side: int) -> tuple[Array, Array]:
    """The character that each byte belongs to, blanks not counted, −1 for none [B, length], and 1
    at the rows of the character's bitmap that the byte is to know [B, length, side]."""
    owner = np.full((len(strings), length), -1, np.int64)
    band = np.zeros((len(strings), length, side), np.float32)
    for i, string in enumerate(strings):
        at, number = int(padded), 0
        for character in string:
            rows = np.array_split(np.arange(side), len(character.encode()))
            for part in rows:
                if character != " ":
                    owner[i, at] = number
                    band[i, at, part] = 1
                at += 1
            number += character != " "
    return owner, band


@cache
def bitmap(character: str, font: str, side: int) -> Array:
    """The character in its em square, [side²] uint8, four times oversampled."""
    big = 4 * side
    opened = fonts.load_font(fonts.find([font])[0], round(0.92 * big))
    image = Image.new("L", (big, big))
    ImageDraw.Draw(image).text((big / 2, 0.85 * big), character, 255, opened, anchor="ms")
    return np.asarray(image.resize((side, side), Image.Resampling.BOX)).reshape(-1)
