"""The order in which rows are read: endless shuffled epochs, and several sequences interleaved.

Every position is computed from its number alone. So reading resumes anywhere, on any number of
machines, and a permutation of any length takes no memory.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
ROUNDS = 10  # of the Feistel network; even, so that the two digits end in their places


def key(*parts: int) -> int:
    """A hash of several numbers, of 64 bits."""
    total = np.zeros(1, np.uint64)
    for part in parts:
        total = mixed(total ^ np.uint64(part % 2**64))
    return int(total[0])


def shuffled(positions: Array, count: int, seed: int) -> Array:
    """Numbers below `count` at these positions of an endless sequence, int64 [N].

    Each epoch of `count` positions holds every number once, in an order of its own. The
    permutation is a Feistel network over two digits, applied until the result is below `count`
    (Black and Rogaway 2002, Ciphers with arbitrary finite domains).
    """
    high = math.isqrt(count - 1) + 1 if count > 1 else 1
    sides = np.array([high, -(-count // high)], np.uint64)
    epoch, at = np.divmod(np.asarray(positions, np.uint64), np.uint64(count))
    epoch_key = mixed(epoch ^ np.uint64(key(seed, count)))
    round_keys = mixed(epoch_key + np.arange(ROUNDS, dtype=np.uint64)[:, None])
    outside = np.ones(at.shape, bool)
    while outside.any():
        right, left = np.divmod(at[outside], sides[0])
        for i in range(ROUNDS):
            output = mixed(right ^ round_keys[i, outside])
            left, right = right, (left + (output >> np.uint64(32))) % sides[i % 2]
        at[outside] = right * sides[0] + left
        outside = at >= count
    return at.astype(np.int64)


def quotas(weights: Sequence[float], total: int) -> tuple[int, ...]:
    """Whole numbers of at least 1 that divide about `total` by weight, by largest remainders."""
    exact = np.asarray(weights, float) / sum(weights) * total
    whole = np.floor(exact).astype(int)
    largest = np.argsort(whole - exact, kind="stable")[: max(0, total - int(whole.sum()))]
    whole[largest] += 1
    return tuple(np.maximum(whole, 1).tolist())


@dataclass(frozen=True)
class Interleaver:
    """Interleaves sequences: in every sum(quotas) positions each has its quota, shuffled."""

    quotas: tuple[int, ...]
    seed: int

    def __call__(self, positions: Array) -> tuple[Array, Array]:
        """The sequence at each position, and the position within that sequence, int64 [N] each."""
        positions = np.asarray(positions, np.int64)
        if len(self.quotas) == 1:
            return np.zeros_like(positions), positions
        ends = np.cumsum(self.quotas)
        slot = shuffled(positions, int(ends[-1]), self.seed)
        sequence = np.searchsorted(ends, slot, "right")
        quota = np.asarray(self.quotas)[sequence]
        return sequence, positions // ends[-1] * quota + slot - (ends[sequence] - quota)


def mixed(x: Array) -> Array:
    """A bijection that spreads 64 bits: the finalizer of SplitMix64 (Steele et al. 2014)."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(x ^ (x >> np.uint64(31)))
