"""Whose turn it is: characters that images must have, so that every one is met equally often.

Some images, evenly spread, have a turn: one to a few characters from a row that holds every
character once, shuffled, and then again in another order. So it is known from which image on all
of them have been drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from moyin.render import assets

PARTS = 1000  # the share of images with a turn is a number of thousandths


@dataclass(frozen=True)
class Turns:
    """Of the `count` most frequent characters, in a share of the images, 1 to `longest` each."""

    count: int
    share: float
    longest: int

    def __call__(self, seed: int, index: int) -> str:
        """The characters that image `index` of `seed` must have; empty where it is no turn."""
        parts = round(self.share * PARTS)
        number = index * parts // PARTS
        if (index + 1) * parts // PARTS == number:
            return ""
        first = self._before(number)
        places = range(first, first + number % self.longest + 1)
        return "".join(_order(self.count, seed, p // self.count)[p % self.count] for p in places)

    def enough(self) -> int:
        """So many images, counted from the first, have every character at least once."""
        parts = round(self.share * PARTS)
        if not parts:
            raise ValueError("no image has a turn: raise the share of Chinese, or lower words")
        number = next(n for n in range(self.count + 1) if self._before(n) >= self.count)
        return -(-number * PARTS // parts)

    def _before(self, number: int) -> int:
        """How many characters the turns before this one had."""
        rounds, rest = divmod(number, self.longest)
        return rounds * self.longest * (self.longest + 1) // 2 + rest * (rest + 1) // 2


@lru_cache(maxsize=8)
def _order(count: int, seed: int, turn: int) -> tuple[str, ...]:
    random = np.random.Generator(np.random.Philox(key=(turn << 64) | (seed & (2**64 - 1))))
    letters = assets.frequent_characters()
    return tuple(letters[i] for i in random.permutation(count))
