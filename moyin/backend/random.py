"""Random numbers that mean the same on every backend, drawn on the host.

NumPy promises the bit stream of Philox (Salmon et al. 2011) but not that of its normals, so the
normals are made here: Box-Muller in float64. The key is (seed, sample, stream), so that every
sample of a batch has numbers of its own, whatever its neighbours are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float32]]


def _bits(count: int, seed: int, sample: int, stream: str) -> np.ndarray[Any, Any]:
    name = int.from_bytes(hashlib.sha256(stream.encode()).digest()[:4], "little")
    key = (seed & (2**64 - 1)) | (sample & (2**32 - 1)) << 64 | name << 96
    return np.random.Philox(key=key).random_raw(count)


def uniform(shape: Sequence[int], seed: int, sample: int = 0, stream: str = "") -> Array:
    """Float64 numbers in [0, 1), 53 bits each, rounded to float32 below one."""
    count = int(np.prod(shape, dtype=np.int64))
    u = (_bits(count, seed, sample, stream) >> np.uint64(11)) * 2.0**-53
    return np.minimum(u, 1 - 2.0**-24).astype(np.float32).reshape(shape)


def normal(shape: Sequence[int], seed: int, sample: int = 0, stream: str = "") -> Array:
    """Standard normals as float32."""
    count = int(np.prod(shape, dtype=np.int64))
    half = (count + 1) // 2
    u = ((_bits(2 * half, seed, sample, stream) >> np.uint64(11)) + 0.5) * 2.0**-53
    radius, angle = np.sqrt(-2 * np.log(u[:half])), 2 * np.pi * u[half:]
    pair = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])
    drawn: Array = pair[:count].astype(np.float32).reshape(shape)
    return drawn
