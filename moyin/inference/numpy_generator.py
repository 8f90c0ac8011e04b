"""The generator's layers in NumPy, one id at a time or a few.

On a CPU the time of such a step goes into calling operations, as long as the network is small, and
NumPy's calls cost a third of a framework's. Everything is float32.

Axes: b batch, n ids of a sample that are read at once, d hidden, h heads, g heads of keys, k keys
seen, c channels of a head, i and o in and out; r = b·n rows, sample by sample.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Product = Callable[[Array], Array]


@dataclass(frozen=True)
class Shape:
    """pairs: of channels that turn with the position, the first ones of a head."""

    heads: int
    kv_heads: int
    head_dim: int
    pairs: int

    @cached_property
    def partners(self) -> Array:
        """For each channel of a head, the one that turns with it; itself where none does."""
        pairs = np.arange(self.pairs)
        still = np.arange(2 * self.pairs, self.head_dim)
        return np.concatenate([pairs + self.pairs, pairs, still])


@dataclass(frozen=True)
class Layer:
    """Products [r, i] → [r, o], norms in the order of their use, and the part of the cache,
    [b, g, k, c] each, that the layer writes into."""

    shape: Shape
    qkv: Product
    out: Product
    gate_up: Product
    down: Product
    norms: tuple[Product, Product, Product, Product]
    keys: Array
    values: Array

    def step(self, x_rd: Array, cos: Array, sin: Array, start: int, hidden: Array | None) -> Array:
        """[r, d] → [r, d] behind `start` cached keys; cos, sin [b, n, h + g, c] from `turns`;
        hidden: 0 or −inf for every key, [b, 1, n or 1, 1, k]."""
        before, after, before_mlp, after_mlp = self.norms
        x_rd = x_rd + after(self.out(self._attend(before(x_rd), cos, sin, start, hidden)))
        both = self.gate_up(before_mlp(x_rd))
        ffn = both.shape[1] // 2
        gate = both[:, :ffn]
        # silu(x) = x/2 · (1 + tanh(x/2)): no exponential that could overflow.
        half = 0.5 * gate
        np.tanh(half, out=half)
        half += 1
        half *= gate
        half *= both[:, ffn:]
        half *= 0.5
        return x_rd + after_mlp(self.down(half))

    def _attend(
        self, x_rd: Array, cos: Array, sin: Array, start: int, hidden: Array | None
    ) -> Array:
        s, (b, n) = self.shape, cos.shape[:2]
        stop, turning = start + n, s.heads + s.kv_heads
        all_heads = self.qkv(x_rd).reshape(b, n, -1, s.head_dim)
        qk = all_heads[:, :, :turning]
        turned = qk.take(s.partners, 3)
        turned *= sin
        qk = qk * cos
        qk += turned
        self.keys[:, :, start:stop] = qk[:, :, s.heads :].swapaxes(1, 2)
        self.values[:, :, start:stop] = all_heads[:, :, turning:].swapaxes(1, 2)
        # Heads that share their keys, and the ids read at once, are the rows of one product.
        q = qk[:, :, : s.heads].reshape(b, n, s.kv_heads, -1, s.head_dim).swapaxes(1, 2)
        q = q.reshape(b, s.kv_heads, -1, s.head_dim)
        scores = q @ self.keys[:, :, :stop].swapaxes(2, 3)
        if hidden is not None:
            parted = scores.reshape(b, s.kv_heads, n, -1, stop)
            parted += hidden
        scores -= np.maximum.reduce(scores, 3, keepdims=True)
        np.exp(scores, out=scores)
        scores /= np.add.reduce(scores, 3, keepdims=True)
        attended: Array = scores @ self.values[:, :, :stop]
        if n > 1:
            attended = attended.reshape(b, s.kv_heads, n, -1).swapaxes(1, 2)
        return attended.reshape(b * n, -1)


def turns(cos: Array, sin: Array, shape: Shape) -> tuple[Array, Array]:
    """[..., 1, pairs] each → [..., h + g, c]: what each channel of queries and keys, and its
    partner, are multiplied by; 1 and 0 where nothing turns. The queries' scale is in it."""
    still = np.zeros((*cos.shape[:-1], shape.head_dim - 2 * shape.pairs), np.float32)
    scale = np.ones((shape.heads + shape.kv_heads, 1), np.float32)
    scale[: shape.heads] = shape.head_dim**-0.5
    cos, sin = (
        np.concatenate([cos, cos, still + 1], -1),
        np.concatenate([-sin, sin, still], -1),
    )
    return cos * scale, sin * scale


def norm(weight_d: Array, eps: float) -> Product:
    """RMS norm over [r, d]."""
    size = len(weight_d)
    # The mean's division is in the weight.
    weight, least = weight_d * np.float32(size**0.5), eps * size

    def apply(x_rd: Array) -> Array:
        scaled: Array = x_rd * weight
        if len(x_rd) == 1:
            x_d = x_rd[0]
            return scaled * (1 / math.sqrt(float(x_d.dot(x_d)) + least))
        squares = np.einsum("rd,rd->r", x_rd, x_rd)
        scaled /= np.sqrt(squares + least)[:, None]
        return scaled

    return apply


def product(across_io: Array, bias_o: Array | None = None) -> Product:
    """x [r, i] → [r, o]."""
    if bias_o is None:
        return lambda x_ri: x_ri @ across_io
    return lambda x_ri: x_ri @ across_io + bias_o


def together(parts: list[Product]) -> Product:
    """The results of several products of the same x side by side."""
    return lambda x_ri: np.concatenate([part(x_ri) for part in parts], 1)
