"""The glyph encoder: from a string's bytes, what each of its characters looks like, and where.

Strings of random characters are encoded; from the mean state of a character's bytes, one linear
map must give its rendered bitmap and another its place in the string. Both maps are thrown away:
what stays is a state in which shape and order can be read linearly.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Any, ClassVar

import numpy as np
from PIL import Image, ImageDraw

from moyin.backend import Tensor, nn, ops
from moyin.data import assets, faces
from moyin.model.glyph import GlyphEncoder
from moyin.prompt.quotes import glyph_bytes
from moyin.train.objectives.base import Array, Batch, Draws, Objective, Source

LATIN = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789&!?.,'-:"


class GlyphObjective(Objective):
    """Bitmap and place of every character of random strings."""

    stage: ClassVar[str] = "glyph"

    @dataclass(frozen=True, kw_only=True)
    class Config(Objective.Config):
        """characters: how many Chinese characters, the most frequent first, beside Latin ones.

        side: of the bitmap; longest: characters in a string; face: whose shapes are learned.
        """

        stage: ClassVar[str] = "glyph"
        network: GlyphEncoder.Config = field(default_factory=GlyphEncoder.Config)
        characters: int = 8105
        side: int = 24
        longest: int = 6
        face: str = "NotoSansSC-Bold"
        place_weight: float = 0.05

        def build(self, source: Source, start: Any) -> GlyphObjective:
            return GlyphObjective(self, start or self.network.build())

    def __init__(self, config: Config, network: GlyphEncoder) -> None:
        super().__init__()
        self.config, self.network = config, network
        self.shape = nn.Linear(network.config.hidden, config.side**2)
        self.place = nn.Linear(network.config.hidden, config.longest)
        self.characters = tuple(LATIN) + assets.frequent_characters()[: config.characters]
        self.bitmaps = np.stack([bitmap(c, config.face, config.side) for c in self.characters])

    @property
    def count(self) -> int:
        return len(self.characters)

    def batch(self, indices: Array, draws: Draws) -> Batch:
        """Strings that each hold one of the characters of `indices` among random ones.

        All of a batch are as long, so that no work is padding.
        """
        rng = draws.generator("strings")
        b, length = len(indices), int(rng.integers(1, self.config.longest + 1))
        numbers = rng.integers(0, self.count, (b, length))
        numbers[np.arange(b), rng.integers(0, length, b)] = indices
        strings = ["".join(self.characters[n] for n in row) for row in numbers]
        ids, mask, pool = pooled(strings, padded=bool(rng.integers(2)))
        target = self.bitmaps[numbers].astype(np.float32) / 127.5 - 1
        return {"ids": ids, "mask": mask, "pool": pool, "target": target}

    def loss(self, batch: dict[str, Tensor], dtype: Any) -> tuple[Tensor, dict[str, Tensor]]:
        states = self.network(batch["ids"], batch["mask"], dtype=dtype)
        of_character = ops.matmul(ops.cast(batch["pool"], dtype), states)
        shape = ops.cast(self.shape(of_character), ops.float32)
        error = ops.mean(ops.square(shape - batch["target"]))
        logits = ops.cast(self.place(of_character), ops.float32)
        b, length, places = logits.shape
        right = ops.broadcast_to(ops.arange(length)[None], (b, length))
        misplaced = ops.cross_entropy(
            ops.reshape(logits, (b * length, places)), ops.reshape(right, (b * length,))
        )
        loss = error + self.config.place_weight * ops.mean(misplaced)
        return loss, {"bitmap_error": ops.stop_gradient(error)}


def pooled(strings: list[str], padded: bool) -> tuple[Array, Array, Array]:
    """Byte ids [B, L], mask [B, L], and weights [B, characters, L] that average each one's bytes.

    strings: all of as many characters. padded: with the pad in front that an even number of
    strings gets.
    """
    parity = strings + [""] * ((len(strings) + (not padded)) % 2)
    ids, mask = (x[: len(strings)] for x in glyph_bytes(parity))
    pool = np.zeros((len(strings), len(strings[0]), ids.shape[1]), np.float32)
    for i, string in enumerate(strings):
        at = int(padded)
        for j, character in enumerate(string):
            size = len(character.encode())
            pool[i, j, at : at + size] = 1 / size
            at += size
    return ids, mask, pool


@cache
def bitmap(character: str, face: str, side: int) -> Array:
    """The character in its em square, [side²] uint8, four times oversampled."""
    big = 4 * side
    font = faces.font(faces.find([face])[0], round(0.92 * big))
    image = Image.new("L", (big, big))
    ImageDraw.Draw(image).text((big / 2, 0.85 * big), character, 255, font, anchor="ms")
    return np.asarray(image.resize((side, side), Image.Resampling.BOX)).reshape(-1)
