"""Rotary position embedding (Su et al. 2021) on several axes, in the half-split form.

Element i of a head is paired with element i + P, where P is the number of pairs. The generator
rotates a part of each head (`table`, `rotate`); the decoder rotates whole heads
(`grid_table`, `rotate_whole`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from moyin.backend import Tensor, ops

Array = np.ndarray[Any, Any]
Rope = tuple[Tensor, Tensor]
"""Cosines and sines of the angles."""


def frequencies(pairs: int, theta: float) -> Array:
    """Radians per position, float32 [pairs], from 1 down towards 1 / theta."""
    return np.asarray(theta ** -(np.arange(pairs, dtype=np.float64) / pairs), np.float32)


def angles(positions_abl: Tensor, axes: Array, rates: Array) -> Tensor:
    """Angles [B, L, P] float32 of positions on A axes [A, B, L].

    Pair i rotates with axis axes[i] at rates[i] radians per position.
    """
    positions_bla = ops.cast(ops.permute(positions_abl, (1, 2, 0)), ops.float32)
    chosen_blp = ops.take(positions_bla, ops.asarray(axes, ops.int64), axis=2)
    return chosen_blp * ops.asarray(rates)


def table(positions_abl: Tensor, sections: Sequence[int], theta: float, dtype: Any) -> Rope:
    """Cosines and sines, [B, 1, L, P] each, of integer positions on A axes [A, B, L].

    The P = sum(sections) pairs are dealt out in contiguous runs: the first sections[0] rotate with
    axis 0, the next sections[1] with axis 1, and so on.
    """
    axes = np.repeat(np.arange(len(sections)), sections)
    turned = angles(positions_abl, axes, frequencies(sum(sections), theta))[:, None]
    return ops.cast(ops.cos(turned), dtype), ops.cast(ops.sin(turned), dtype)


def rotate(x_bhld: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate the first 2·P elements of every head by tables [B, 1, L, P]."""
    pairs = cos.shape[-1]
    a, b = x_bhld[..., :pairs], x_bhld[..., pairs : 2 * pairs]
    parts = [a * cos - b * sin, b * cos + a * sin]
    if x_bhld.shape[-1] > 2 * pairs:
        parts.append(x_bhld[..., 2 * pairs :])
    return ops.concat(parts, axis=3)


def grid_table(
    rows: int, columns: int, head_dim: int, theta: float, origin_b2: Tensor | None = None
) -> tuple[Any, Any]:
    """Cosines and signed sines of a grid in row-major order, float32, for `rotate_whole`.

    A quarter of the channels rotate with the row and the next with the column, and again in the
    second half. Without origin_b2 the grid starts at (0, 0) and the tables are NumPy arrays
    [rows·columns, K]; with it, sample b's grid starts at origin_b2[b] = (row, column) and the
    tables are tensors [B, rows·columns, K].
    """
    if origin_b2 is None:
        return _table_at_zero(rows, columns, head_dim, theta)
    quarter = head_dim // 4
    grid = np.mgrid[:rows, :columns].reshape(2, -1, 1).astype(np.float32)
    positions_2bn = ops.permute(origin_b2[:, :, None], (1, 0, 2)) + ops.asarray(
        grid.transpose(0, 2, 1)
    )
    rates = np.tile(frequencies(quarter, theta), 2)
    turned = angles(positions_2bn, np.repeat([0, 1], quarter), rates)
    cos, sin = ops.cos(turned), ops.sin(turned)
    return ops.concat([cos, cos], 2), ops.concat([-sin, sin], 2)


@lru_cache(maxsize=8)
def _table_at_zero(rows: int, columns: int, head_dim: int, theta: float) -> tuple[Array, Array]:
    cos, sin = grid_table(rows, columns, head_dim, theta, ops.zeros((1, 2)))
    return ops.numpy(cos)[0], ops.numpy(sin)[0]


def rotate_whole(x_bshk: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate whole heads by tables [S, K] or [B, S, K].

    The first half of `sin` carries the minus sign, so that one fused product rotates both halves.
    """
    a, b = ops.chunk(x_bshk, 2, 3)
    return ops.addcmul(x_bshk * cos[..., None, :], ops.concat([b, a], 3), sin[..., None, :])
