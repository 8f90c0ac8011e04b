"""Sampling the next token from logits, with random numbers that were drawn beforehand."""

from __future__ import annotations

from typing import Any

import numpy as np

from moyin.backend import Tensor, ops
from moyin.inference.config import TokenSampling

Array = np.ndarray[Any, Any]
# Candidates that `sample_token_numpy` sorts before it sorts the whole vocabulary.
FIRST_CANDIDATES = 64


def sample_token(
    logits_bv: Tensor, uniforms_b: Tensor, sampling: TokenSampling, allowed: int | None = None
) -> Tensor:
    """One token a row [B] int64, by inversion of the truncated distribution's cumulative sum.

    Tokens from `allowed` on are never sampled. The `top_k` likeliest remain (0: all), and of these
    the fewest whose probabilities reach `top_p` (Holtzman et al. 2019). Temperature 0 takes the
    likeliest token and does not use `uniforms_b`, float32 in [0, 1).
    """
    logits_bv = ops.cast(logits_bv[:, :allowed], ops.float32)
    if sampling.temperature == 0:
        return ops.argmax(logits_bv, axis=1)
    ordered, tokens = ops.sort(logits_bv / sampling.temperature, axis=1, descending=True)
    if sampling.top_k:
        ordered, tokens = ordered[:, : sampling.top_k], tokens[:, : sampling.top_k]
    probabilities = ops.softmax(ordered, axis=1)
    below = ops.cumsum(probabilities, axis=1) - probabilities
    kept = ops.where(below < sampling.top_p, probabilities, ops.zeros_like(probabilities))
    reached = ops.cumsum(kept, axis=1)
    width = reached.shape[1]
    goal = ops.reshape(uniforms_b, (-1, 1)) * reached[:, width - 1 :]
    passed = ops.sum(ops.cast(reached <= goal, ops.int32), axis=1, keepdims=True)
    # Rounding can make the goal the whole sum: then the last kept token is meant.
    last = ops.sum(ops.cast(below < sampling.top_p, ops.int32), axis=1, keepdims=True) - 1
    place = ops.cast(ops.minimum(passed, last), ops.int64)
    return ops.reshape(ops.gather(tokens, place, axis=1), (-1,))


def sample_token_numpy(
    logits_bv: Array, uniforms_b: Array, sampling: TokenSampling, allowed: int | None = None
) -> Array:
    """`sample_token` in NumPy: the same tokens, without sorting the whole vocabulary."""
    logits_bv = logits_bv[:, :allowed]
    if sampling.temperature == 0:
        return np.array(np.argmax(logits_bv, axis=1))
    scaled = logits_bv / np.float32(sampling.temperature)
    return np.array(
        [_sample_row(row, u, sampling) for row, u in zip(scaled, uniforms_b, strict=True)], np.int64
    )


def _sample_row(scaled_v: Array, uniform: float, sampling: TokenSampling) -> int:
    top_p, top_k = sampling.top_p, sampling.top_k
    weights = np.exp(scaled_v - scaled_v.max())
    for count in [top_k] if top_k else [FIRST_CANDIDATES, len(weights)]:
        tokens = _likeliest(scaled_v, count)
        total = weights[tokens] if top_k else weights
        probabilities = weights[tokens] / total.sum()
        reached = np.cumsum(probabilities)
        if reached[-1] >= top_p:
            break
    kept = int(np.searchsorted(reached - probabilities, top_p))
    passed = int(np.searchsorted(reached[:kept], uniform * reached[kept - 1], "right"))
    return int(tokens[min(passed, kept - 1)])


def _likeliest(scaled_v: Array, count: int) -> Array:
    """The `count` likeliest tokens in falling order, equals by number."""
    tokens = np.arange(len(scaled_v))
    if count < len(scaled_v):
        tokens = np.flatnonzero(scaled_v >= np.partition(scaled_v, -count)[-count])
    return tokens[np.argsort(-scaled_v[tokens], kind="stable")][:count]
