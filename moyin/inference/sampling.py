"""Choosing the next id from logits, with the random numbers drawn beforehand."""

from __future__ import annotations

from typing import Any

import numpy as np

from moyin.backend import Tensor, ops

Array = np.ndarray[Any, Any]
# How many candidates are sorted before the whole vocabulary is.
FIRST = 64


def pick(
    logits_bv: Tensor,
    uniforms_b: Tensor,
    *,
    temperature: float = 0.9,
    top_p: float = 0.75,
    top_k: int = 0,
    allowed: int | None = None,
) -> Tensor:
    """One id a row [B], by the inverse of the truncated distribution's cumulative sum.

    Ids from `allowed` on are never chosen. The `top_k` likeliest remain (0: all), and of these
    the fewest that reach `top_p` together (Holtzman et al. 2019). Temperature 0 takes the
    likeliest id and leaves `uniforms_b`, float32 in [0, 1), unread.
    """
    _check(temperature, top_p, top_k)
    logits_bv = ops.cast(logits_bv[:, :allowed], ops.float32)
    if temperature == 0:
        return ops.argmax(logits_bv, axis=1)
    ordered, ids = ops.sort(logits_bv / temperature, axis=1, descending=True)
    if top_k:
        ordered, ids = ordered[:, :top_k], ids[:, :top_k]
    probabilities = ops.softmax(ordered, axis=1)
    below = ops.cumsum(probabilities, axis=1) - probabilities
    kept = ops.where(below < top_p, probabilities, ops.zeros_like(probabilities))
    reached = ops.cumsum(kept, axis=1)
    width = reached.shape[1]
    goal = ops.reshape(uniforms_b, (-1, 1)) * reached[:, width - 1 :]
    passed = ops.sum(ops.cast(reached <= goal, ops.int32), axis=1, keepdims=True)
    # Rounding can make the goal the whole sum: then the last kept id is meant.
    last = ops.sum(ops.cast(below < top_p, ops.int32), axis=1, keepdims=True) - 1
    place = ops.cast(ops.minimum(passed, last), ops.int64)
    return ops.reshape(ops.gather(ids, place, axis=1), (-1,))


def pick_host(
    logits_bv: Array,
    uniforms_b: Array,
    *,
    temperature: float = 0.9,
    top_p: float = 0.75,
    top_k: int = 0,
    allowed: int | None = None,
) -> Array:
    """`pick` in NumPy: the same ids, without sorting the whole vocabulary for them."""
    _check(temperature, top_p, top_k)
    logits_bv = logits_bv[:, :allowed]
    if temperature == 0:
        return np.array(np.argmax(logits_bv, axis=1))
    scaled = logits_bv / np.float32(temperature)
    return np.array(
        [_pick(row, u, top_p, top_k) for row, u in zip(scaled, uniforms_b, strict=True)], np.int64
    )


def _pick(scaled_v: Array, uniform: float, top_p: float, top_k: int) -> int:
    weights = np.exp(scaled_v - scaled_v.max())
    for count in [top_k] if top_k else [FIRST, len(weights)]:
        ids = _likeliest(scaled_v, count)
        of_all = weights[ids] if top_k else weights
        probabilities = weights[ids] / of_all.sum()
        reached = np.cumsum(probabilities)
        if reached[-1] >= top_p:
            break
    kept = int(np.searchsorted(reached - probabilities, top_p))
    passed = int(np.searchsorted(reached[:kept], uniform * reached[kept - 1], "right"))
    return int(ids[min(passed, kept - 1)])


def _likeliest(scaled_v: Array, count: int) -> Array:
    """The ids of the `count` largest in falling order, equals by id."""
    ids = np.arange(len(scaled_v))
    if count < len(scaled_v):
        ids = np.flatnonzero(scaled_v >= np.partition(scaled_v, -count)[-count])
    return ids[np.argsort(-scaled_v[ids], kind="stable")][:count]


def _check(temperature: float, top_p: float, top_k: int) -> None:
    if temperature < 0 or not 0 < top_p <= 1 or top_k < 0:
        raise ValueError(
            f"temperature={temperature}, top_p={top_p}, top_k={top_k}: give a temperature of at "
            "least 0, a top_p above 0 and up to 1, a top_k of at least 0"
        )
