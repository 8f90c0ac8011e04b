"""The generator's decode step in NumPy, one token at a time or a few.

On a CPU and with a small network, most of a step's time is the overhead of calling operations, and
a call of NumPy costs a third of a framework's. Everything is float32.

Axes: b batch, n tokens of a sample that are read at once, d hidden, h query heads, g key heads,
k keys in the cache, c channels of a head, i and o inputs and outputs; r = b·n rows, sample by
sample.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from moyin.backend import Tensor, nn, ops
from moyin.inference.config import TokenSampling
from moyin.inference.sampling import sample_token_numpy
from moyin.models import rope
from moyin.models.generator import Generator, LayerCache
from moyin.models.generator import Layer as ReferenceLayer

Array = np.ndarray[Any, Any]
Product = Callable[[Array], Array]
# Up to this many inputs, a float32 copy of the weights in reading order pays.
SMALL = 512


@dataclass(frozen=True)
class Shape:
    """pairs: channel pairs that the rotary embedding rotates, the first channels of a head."""

    heads: int
    kv_heads: int
    head_dim: int
    pairs: int

    @cached_property
    def partners(self) -> Array:
        """For each channel of a head, the one it is rotated with; itself where it is not."""
        pairs = np.arange(self.pairs)
        unrotated = np.arange(2 * self.pairs, self.head_dim)
        return np.concatenate([pairs + self.pairs, pairs, unrotated])


@dataclass(frozen=True)
class Layer:
    """Products [r, i] → [r, o], norms in the order of their use, and the keys and values
    [b, g, k, c] of the cache, which the layer writes into."""

    shape: Shape
    qkv: Product
    out: Product
    gate_up: Product
    down: Product
    norms: tuple[Product, Product, Product, Product]
    keys: Array
    values: Array

    def step(self, x_rd: Array, cos: Array, sin: Array, start: int, bias: Array | None) -> Array:
        """[r, d] → [r, d] behind `start` cached keys; cos, sin [b, n, h + g, c] from
        `rotation`; bias: 0 or −inf for every key, [b, 1, n or 1, 1, k]."""
        before, after, before_mlp, after_mlp = self.norms
        x_rd = x_rd + after(self.out(self._attend(before(x_rd), cos, sin, start, bias)))
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

    def _attend(self, x_rd: Array, cos: Array, sin: Array, start: int, bias: Array | None) -> Array:
        s, (b, n) = self.shape, cos.shape[:2]
        stop, rotated_heads = start + n, s.heads + s.kv_heads
        all_heads = self.qkv(x_rd).reshape(b, n, -1, s.head_dim)
        qk = all_heads[:, :, :rotated_heads]
        rotated = qk.take(s.partners, 3)
        rotated *= sin
        qk = qk * cos
        qk += rotated
        self.keys[:, :, start:stop] = qk[:, :, s.heads :].swapaxes(1, 2)
        self.values[:, :, start:stop] = all_heads[:, :, rotated_heads:].swapaxes(1, 2)
        # Heads that share keys, and the tokens read at once, are the rows of one product.
        q = qk[:, :, : s.heads].reshape(b, n, s.kv_heads, -1, s.head_dim).swapaxes(1, 2)
        q = q.reshape(b, s.kv_heads, -1, s.head_dim)
        scores = q @ self.keys[:, :, :stop].swapaxes(2, 3)
        if bias is not None:
            by_token = scores.reshape(b, s.kv_heads, n, -1, stop)
            by_token += bias
        scores -= np.maximum.reduce(scores, 3, keepdims=True)
        np.exp(scores, out=scores)
        scores /= np.add.reduce(scores, 3, keepdims=True)
        attended: Array = scores @ self.values[:, :, :stop]
        if n > 1:
            attended = attended.reshape(b, s.kv_heads, n, -1).swapaxes(1, 2)
        return attended.reshape(b * n, -1)


def rotation(cos: Array, sin: Array, shape: Shape) -> tuple[Array, Array]:
    """[..., 1, pairs] each → [..., h + g, c]: the factors of each channel of queries and keys, and
    of its partner; 1 and 0 where nothing rotates. They include the attention's scale."""
    unrotated = np.zeros((*cos.shape[:-1], shape.head_dim - 2 * shape.pairs), np.float32)
    scale = np.ones((shape.heads + shape.kv_heads, 1), np.float32)
    scale[: shape.heads] = shape.head_dim**-0.5
    cos, sin = (
        np.concatenate([cos, cos, unrotated + 1], -1),
        np.concatenate([-sin, sin, unrotated], -1),
    )
    return cos * scale, sin * scale


def norm(weight_d: Array, eps: float) -> Product:
    """RMS norm over [r, d]."""
    size = len(weight_d)
    # The division of the mean is folded into the weight.
    weight, scaled_eps = weight_d * np.float32(size**0.5), eps * size

    def apply(x_rd: Array) -> Array:
        scaled: Array = x_rd * weight
        if len(x_rd) == 1:
            x_d = x_rd[0]
            return scaled * (1 / math.sqrt(float(x_d.dot(x_d)) + scaled_eps))
        square_sums = np.einsum("rd,rd->r", x_rd, x_rd)
        scaled /= np.sqrt(square_sums + scaled_eps)[:, None]
        return scaled

    return apply


def linear(weight_io: Array, bias_o: Array | None = None) -> Product:
    """x [r, i] → [r, o]."""
    if bias_o is None:
        return lambda x_ri: x_ri @ weight_io
    return lambda x_ri: x_ri @ weight_io + bias_o


def concatenated(parts: list[Product]) -> Product:
    """The results of several products of one x, concatenated."""
    return lambda x_ri: np.concatenate([part(x_ri) for part in parts], 1)


class NumpyDecodeStep:
    """`decode_step.DecodeStep` in NumPy. dtype: of the larger products; all else is float32."""

    def __init__(
        self,
        generator: Generator,
        cache: list[LayerCache],
        positions_3bn: Tensor,
        mask_bk: Tensor | None,
        dtype: Any,
    ) -> None:
        config = generator.config
        shape = Shape(config.heads, config.kv_heads, config.head_dim, sum(config.rotary_sections))
        tables = rope.table(positions_3bn, config.rotary_sections, config.theta, ops.float32)
        # From [b, 1, n, pairs] to [b, n, 1, pairs].
        cos, sin = (ops.numpy(table).transpose(0, 2, 1, 3) for table in tables)
        self.cos, self.sin = rotation(cos, sin, shape)
        self.padding = None
        if mask_bk is not None:
            self.padding = np.where(ops.numpy(mask_bk), 0, -np.inf).astype(np.float32)
        self.embed = _embedding(generator.embedding)
        layers: list[Any] = list(generator.layers)
        self.layers = [
            _layer(layer, shape, memory, dtype) for layer, memory in zip(layers, cache, strict=True)
        ]
        self.norm = _norm(generator.norm)
        self.head = _product(generator.head, dtype)

    def array(self, values: Array) -> Array:
        """NumPy values as the arrays that the other methods take: themselves."""
        return values

    def logits(self, logits: Tensor) -> Array:
        """Logits of the generator as `step` gives them."""
        return _numpy(logits)

    def step(self, tokens_bn: Array, number: int, start: int) -> Array:
        """Logits [B, n, vision_vocab] float32; arguments as in `DecodeStep.step`."""
        n = tokens_bn.shape[1]
        cos, sin = (table[:, number : number + n] for table in (self.cos, self.sin))
        x = self.embed(np.concatenate([tokens_bn] * (len(cos) // len(tokens_bn))).reshape(-1))
        bias = self._bias(n, start)
        for layer in self.layers:
            x = layer.step(x, cos, sin, start, bias)
        return self.head(self.norm(x)).reshape(len(cos), n, -1)

    def sample(
        self, logits_bv: Array, uniforms_b: Array, sampling: TokenSampling, allowed: int
    ) -> Array:
        """One token a row; see `sampling.sample_token`."""
        return sample_token_numpy(logits_bv, uniforms_b, sampling, allowed)

    def _bias(self, n: int, start: int) -> Array | None:
        """0, or −inf where a key is padding or comes after its query: [b or 1, 1, n or 1, 1, k]."""
        padding = self.padding
        if padding is not None:
            padding = padding[:, None, None, None, : start + n]
        if n == 1:
            return padding
        later = np.triu(np.full((n, start + n), -np.inf, np.float32), start + 1)[:, None]
        return later[None, None] if padding is None else padding + later


def _layer(layer: ReferenceLayer, shape: Shape, cache: LayerCache, dtype: Any) -> Layer:
    attention, mlp = layer.attention, layer.mlp
    return Layer(
        shape,
        qkv=_fused([attention.q, attention.k, attention.v], dtype),
        out=_product(attention.out, dtype),
        gate_up=_product(mlp.gate_up, dtype),
        down=_product(mlp.down, dtype),
        norms=(
            _norm(layer.attention_norm),
            _norm(layer.attention_post_norm),
            _norm(layer.mlp_norm),
            _norm(layer.mlp_post_norm),
        ),
        keys=np.array(_numpy(cache.keys)),
        values=np.array(_numpy(cache.values)),
    )


def _embedding(layer: Any) -> Product:
    """tokens [b] → [b, d]; the table is read by NumPy where it is float32."""
    if isinstance(layer, nn.Embedding) and _plain(layer):
        table = _numpy(layer.weight)
        return lambda tokens: table[tokens]
    return lambda tokens: _numpy(layer(ops.asarray(tokens)))


def _norm(layer: Any) -> Product:
    return norm(_numpy(layer.weight), layer.eps)


def _product(layer: Any, dtype: Any) -> Product:
    """A linear layer, multiplied by NumPy where that is faster."""
    if not isinstance(layer, nn.Linear) or not (_small(layer) or _plain(layer)):
        return lambda x_bi: _numpy(layer(ops.cast(ops.asarray(x_bi), dtype)))
    weight = _numpy(layer.weight).T
    bias = None if layer.bias is None else _numpy(layer.bias)
    return linear(np.ascontiguousarray(weight) if _small(layer) else weight, bias)


def _fused(layers: list[Any], dtype: Any) -> Product:
    """Several layers of one input, their results concatenated."""
    if not all(isinstance(layer, nn.Linear) and _small(layer) for layer in layers):
        return concatenated([_product(layer, dtype) for layer in layers])
    weight = np.concatenate([_numpy(layer.weight).T for layer in layers], 1)
    return linear(weight, np.concatenate([_numpy(layer.bias) for layer in layers]))


def _small(layer: Any) -> bool:
    return int(layer.weight.shape[1]) <= SMALL


def _plain(layer: Any) -> bool:
    return bool(layer.weight.dtype == ops.float32)


def _numpy(x: Tensor) -> Array:
    values: Array = ops.numpy(ops.cast(x, ops.float32))
    return values
