"""Which characters an image must show, so that all characters occur equally often.

A share of the images, evenly spread, is assigned one to a few characters. They come from a
sequence that holds every character once, shuffled, and then again in another order. So the number
of images that cover all characters is known.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from moyin.render import assets

PARTS = 1000  # the share of images is rounded to thousandths


@dataclass(frozen=True)
class CharacterSchedule:
    """Assigns 1 to `longest` of the `count` most frequent characters to a share of images."""

    count: int
    share: float
    longest: int

    def __call__(self, seed: int, index: int) -> str:
        """The characters that image `index` of `seed` must show; empty if it may show any."""
        parts = round(self.share * PARTS)
        number = index * parts // PARTS
        if (index + 1) * parts // PARTS == number:
            return ""
        first = self._before(number)
        positions = range(first, first + number % self.longest + 1)
        return "".join(_order(self.count, seed, p // self.count)[p % self.count] for p in positions)

    def images_needed(self) -> int:
        """How many images, from the first, cover every character. ValueError if none ever do."""
        parts = round(self.share * PARTS)
        if not parts:
            raise ValueError(
                "no image is assigned characters: raise the share of Chinese, or lower words"
            )
        number = next(n for n in range(self.count + 1) if self._before(n) >= self.count)
        return -(-number * PARTS // parts)

    def _before(self, number: int) -> int:
        """How many characters the first `number` assignments use."""
        rounds, rest = divmod(number, self.longest)
        return rounds * self.longest * (self.longest + 1) // 2 + rest * (rest + 1) // 2


@lru_cache(maxsize=8)
def _order(count: int, seed: int, epoch: int) -> tuple[str, ...]:
    random = np.random.Generator(np.random.Philox(key=(epoch << 64) | (seed & (2**64 - 1))))
    letters = assets.frequent_characters()
    return tuple(letters[i] for i in random.permutation(count))
