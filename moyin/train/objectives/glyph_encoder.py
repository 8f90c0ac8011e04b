"""The glyph encoder's objective: what each character of a string looks like, and its position.

Strings of random characters are encoded. The bytes of a character (a Chinese one has three) share
the rows of its bitmap from top to bottom. Two linear maps read each byte's state: one predicts the
bitmap, of which only the byte's rows count, the other the character's number in its word and the
word's in the string. So a decoder that attends to one byte gets one part of one character. Both
maps are discarded.

Loss: mean squared error of the bitmaps' rows, pixels in −1 … 1, plus place_weight times the
cross-entropy of the numbers, a mean over each string's bytes and then over strings. This stage is
Moyin's own; the network is ByT5's encoder (Xue et al. 2021).

Axes: b strings, l bytes.
"""

from __future__ import annotations

from functools import cache
from typing import Any, ClassVar, TypeAlias

import numpy as np
from PIL import Image, ImageDraw

from moyin.backend import Tensor, nn, ops
from moyin.models.glyph_encoder import GlyphEncoder
from moyin.prompt.quotes import glyph_bytes
from moyin.render import assets, fonts
from moyin.train.losses import cross_entropy
from moyin.train.objectives.base import Array, Batch, Objective, SampleRng
from moyin.train.objectives.config import GlyphObjectiveConfig

LATIN = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789&!?.,'-:"


class GlyphObjective(Objective):
    """Batches: tokens (byte ids) and mask [B, L]; owner, word and letter [B, L]: each byte's
    character (−1 for none), that character's word and its number in the word; target
    [B, L, side, side] in −1 … 1, and band [B, L, side], 1 at the rows that a byte predicts."""

    stage: ClassVar[str] = "glyph"

    Config: TypeAlias = GlyphObjectiveConfig

    def __init__(self, config: GlyphObjectiveConfig, network: GlyphEncoder) -> None:
        super().__init__()
        self.config, self.network = config, network
        self.shape = nn.Linear(network.config.hidden, config.side**2)
        self.place = nn.Linear(network.config.hidden, config.longest + config.words)
        self.characters = tuple(LATIN) + assets.frequent_characters()[: config.characters]
        self.bitmaps = np.stack([bitmap(c, config.font, config.side) for c in self.characters])
        self.add_auxiliary()

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
            row_rng = sample_rng.of(row, "strings")
            numbers[row] = row_rng.integers(0, known, sum(lengths))
            numbers[row, row_rng.integers(sum(lengths))] = index
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
        arrays = {
            "tokens": ids,
            "mask": mask,
            "owner": owner,
            "word": word[owner],
            "letter": letter[owner],
            "target": shapes.reshape(*owner.shape, side, side).astype(np.float32) / 127.5 - 1,
            "band": band,
        }
        return self.auxiliary_batch(strings, arrays)

    def _lengths(self, rng: np.random.Generator) -> list[int]:
        """Characters of each word; half of the updates have strings of one word."""
        several = self.config.words > 1 and rng.random() < 0.5
        words = 1 + _drawn(rng, self.config.words - 1) if several else 1
        return [_drawn(rng, self.config.longest) for _ in range(words)]

    def loss(self, batch: dict[str, Tensor], dtype: Any) -> tuple[Tensor, dict[str, Tensor]]:
        states = self.network(batch["tokens"], batch["mask"], dtype=dtype)
        shape = ops.reshape(ops.cast(self.shape(states), ops.float32), batch["target"].shape)
        row_errors = ops.mean(ops.square(shape - batch["target"]), -1)
        error = ops.sum(row_errors * batch["band"]) / ops.sum(batch["band"])
        places = self.place(states)
        owned = ops.cast(batch["owner"] >= 0, ops.float32)
        most = self.config.longest
        entropy = cross_entropy(places[:, :, :most], batch["letter"])
        if self.config.words > 1:
            entropy = entropy + cross_entropy(places[:, :, most:], batch["word"])
        # A mean per string first, so that a batch may be cut anywhere.
        of_each = ops.sum(entropy * owned, 1) / ops.sum(owned, 1)
        misplaced = ops.mean(of_each)
        shown = {"bitmap_error": error, "place_error": misplaced}
        loss = error + self.config.place_weight * misplaced
        loss, more = self.auxiliary_loss(loss, states, batch, dtype)
        return loss, {name: ops.stop_gradient(one) for name, one in shown.items()} | more


def _drawn(rng: np.random.Generator, most: int) -> int:
    """A length from 1 to `most`; greater ones are likelier, for only long words have late
    letters."""
    return 1 + int(most * rng.random() ** 0.5)


def encoded(strings: list[str], padded: bool) -> tuple[Array, Array]:
    """Byte ids and mask [B, L]; padded: with the pad that an even number of strings gets."""
    parity = strings + [""] * ((len(strings) + (not padded)) % 2)
    ids, mask = glyph_bytes(parity)
    return ids[: len(strings)], mask[: len(strings)]


def owners(strings: list[str], length: int, padded: bool, side: int) -> tuple[Array, Array]:
    """Each byte's character, blanks not counted, −1 for none [B, length]; and 1 at the rows of that
    character's bitmap that the byte predicts [B, length, side]."""
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
