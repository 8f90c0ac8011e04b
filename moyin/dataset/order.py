"""In which order rows are read: endless shuffled rows, and rows that take turns.

What stands at a position is computed from the position alone. So reading goes on from anywhere, on
any number of machines, and a permutation takes no memory however long it is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
ROUNDS = 10  # even, so that the digits end where they began


def key(*parts: int) -> int:
    """A number of 64 bits that stands for several."""
    total = np.zeros(1, np.uint64)
    for part in parts:
        total = mixed(total ^ np.uint64(part % 2**64))
    return int(total[0])


def shuffled(positions: Array, count: int, seed: int) -> Array:
    """Numbers below `count` at these positions of an endless row [N], int64.

    Every `count` positions, from 0 on, hold each number once, in an order of their own: a Feistel
    network over two digits, walked until it comes to a number below `count` (Black and Rogaway
    2002, Ciphers with arbitrary finite domains).
    """
    high = math.isqrt(count - 1) + 1 if count > 1 else 1
    sides = np.array([high, -(-count // high)], np.uint64)
    epoch, at = np.divmod(np.asarray(positions, np.uint64), np.uint64(count))
    own = mixed(epoch ^ np.uint64(key(seed, count)))
    keys = mixed(own + np.arange(ROUNDS, dtype=np.uint64)[:, None])
    outside = np.ones(at.shape, bool)
    while outside.any():
        right, left = np.divmod(at[outside], sides[0])
        for turn in range(ROUNDS):
            told = mixed(right ^ keys[turn, outside])
            left, right = right, (left + (told >> np.uint64(32))) % sides[turn % 2]
        at[outside] = right * sides[0] + left
        outside = at >= count
    return at.astype(np.int64)


def quotas(weights: Sequence[float], total: int) -> tuple[int, ...]:
    """Whole numbers, each at least 1, that share about `total` by weight: largest remainders."""
    exact = np.asarray(weights, float) / sum(weights) * total
    whole = np.floor(exact).astype(int)
    largest = np.argsort(whole - exact, kind="stable")[: max(0, total - int(whole.sum()))]
    whole[largest] += 1
    return tuple(np.maximum(whole, 1).tolist())


@dataclass(frozen=True)
class Turns:
    """Several rows that take turns: in every sum(quotas) places, each has its quota, shuffled."""

    quotas: tuple[int, ...]
    seed: int

    def __call__(self, positions: Array) -> tuple[Array, Array]:
        """Whose turn it is at each position, and which place of its own row that is: int64 [N]."""
        positions = np.asarray(positions, np.int64)
        if len(self.quotas) == 1:
            return np.zeros_like(positions), positions
        ends = np.cumsum(self.quotas)
        place = shuffled(positions, int(ends[-1]), self.seed)
        whose = np.searchsorted(ends, place, "right")
        quota = np.asarray(self.quotas)[whose]
        return whose, positions // ends[-1] * quota + place - (ends[whose] - quota)


def mixed(x: Array) -> Array:
    """A bijection that spreads 64 bits: the finalizer of SplitMix64 (Steele et al. 2014)."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(x ^ (x >> np.uint64(31)))
