"""Which samples a step reads: a fresh permutation every epoch, by seed, without any state."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@lru_cache(maxsize=2)
def permutation(count: int, seed: int, epoch: int) -> Array:
    return np.random.Generator(np.random.Philox(key=[seed, epoch])).permutation(count)


def indices(count: int, seed: int, step: int, batch: int) -> Array:
    """The `batch` indices below `count` of micro-batch `step`; every epoch reads each one once."""
    at = np.arange(step * batch, (step + 1) * batch)
    return np.array([permutation(count, seed, int(i // count))[i % count] for i in at])
