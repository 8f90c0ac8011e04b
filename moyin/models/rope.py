"""Rotary positions (Su et al. 2021) over several axes at once, in the half-split form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from moyin.backend import Tensor, ops


def table(
    positions_abl: Tensor, sections: Sequence[int], theta: float, dtype: Any
) -> tuple[Tensor, Tensor]:
    """Cosines and sines, [B, 1, L, pairs] each, of integer positions on A axes [A, B, L].

    The frequency pairs, sum(sections) of them, are dealt out in contiguous runs: the first
    sections[0] turn with axis 0, the next sections[1] with axis 1, and so on.
    """
    pairs = sum(sections)
    frequencies = theta ** -(np.arange(pairs, dtype=np.float64) / pairs)
    axis = np.repeat(np.arange(len(sections)), sections)
    positions = ops.cast(ops.permute(positions_abl, (1, 2, 0)), ops.float32)
    chosen = ops.take(positions, ops.asarray(axis, ops.int64), axis=2)
    angles = ops.reshape(
        chosen * ops.asarray(frequencies.astype(np.float32)),
        (positions.shape[0], 1, positions.shape[1], pairs),
    )
    return ops.cast(ops.cos(angles), dtype), ops.cast(ops.sin(angles), dtype)


def rotate(x_bhld: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn the first 2·pairs of D: element i of a head is paired with element i + pairs."""
    pairs = cos.shape[-1]
    a, b = x_bhld[..., :pairs], x_bhld[..., pairs : 2 * pairs]
    parts = [a * cos - b * sin, b * cos + a * sin]
    if x_bhld.shape[-1] > 2 * pairs:
        parts.append(x_bhld[..., 2 * pairs :])
    return ops.concat(parts, axis=3)
