"""The generator's steps of one id or a few, behind a prefix that it has read.

`Walk` is the reference; `HostWalk` does the same in NumPy, for a CPU.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from moyin.backend import Tensor, nn, ops
from moyin.inference import numpy_generator
from moyin.models import rope
from moyin.models.generator import Generator, Layer, LayerCache

Array = np.ndarray[Any, Any]
# Up to this many inputs, a float32 copy of the weights in the order they are read in pays.
SMALL = 512


class Walk:
    """Steps behind a prefix that `Generator.step` has read into `cache`.

    positions_3bn: of the ids to come. mask_bk: as for `Generator.step`.
    """

    def __init__(
        self,
        generator: Generator,
        cache: list[LayerCache],
        positions_3bn: Tensor,
        mask_bk: Tensor | None,
    ) -> None:
        self.generator, self.cache = generator, cache
        self.positions, self.mask = positions_3bn, mask_bk

    def step(self, ids: Tensor, number: int, start: int) -> Tensor:
        """Logits [B, n, vision_vocab] after each of n ids, from the walk's `number`-th on, behind
        `start` cached ones.

        ids [B, n], or [B / m, n] where m runs of samples go on alike.
        """
        n = ids.shape[1]
        place = self.positions[:, :, number : number + n]
        repeated = ops.concat([ids] * (place.shape[1] // ids.shape[0]), 0)
        return self.generator.step(repeated, place, self.cache, start, self.mask, last=n)


class HostWalk:
    """`Walk` in NumPy. dtype: what the larger products are computed in; all else is float32."""

    def __init__(
        self,
        generator: Generator,
        cache: list[LayerCache],
        positions_3bn: Tensor,
        mask_bk: Tensor | None,
        dtype: Any,
    ) -> None:
        config = generator.config
        shape = numpy_generator.Shape(
            config.heads, config.kv_heads, config.head_dim, sum(config.rotary_sections)
        )
        tables = rope.table(positions_3bn, config.rotary_sections, config.theta, ops.float32)
        # From [b, 1, n, pairs] to [b, n, 1, pairs].
        cos, sin = (ops.numpy(table).transpose(0, 2, 1, 3) for table in tables)
        self.cos, self.sin = numpy_generator.turns(cos, sin, shape)
        self.hidden = None
        if mask_bk is not None:
            self.hidden = np.where(ops.numpy(mask_bk), 0, -np.inf).astype(np.float32)
        self.embed = _embedding(generator.embedding)
        layers: list[Any] = list(generator.layers)
        self.layers = [
            _layer(layer, shape, memory, dtype) for layer, memory in zip(layers, cache, strict=True)
        ]
        self.norm = _norm(generator.norm)
        self.head = _product(generator.head, dtype)

    def step(self, ids: Array, number: int, start: int) -> Array:
        """Logits [b, n, v] float32; arguments as in `Walk.step`."""
        n = ids.shape[1]
        cos, sin = (table[:, number : number + n] for table in (self.cos, self.sin))
        x = self.embed(np.concatenate([ids] * (len(cos) // len(ids))).reshape(-1))
        hidden = self._hidden(n, start)
        for layer in self.layers:
            x = layer.step(x, cos, sin, start, hidden)
        return self.head(self.norm(x)).reshape(len(cos), n, -1)

    def _hidden(self, n: int, start: int) -> Array | None:
        """0, or −inf where a key is padding or comes after its query: [b or 1, 1, n or 1, 1, k]."""
        padding = self.hidden
        if padding is not None:
            padding = padding[:, None, None, None, : start + n]
        if n == 1:
            return padding
        later = np.triu(np.full((n, start + n), -np.inf, np.float32), start + 1)[:, None]
        return later[None, None] if padding is None else padding + later


def _layer(
    layer: Layer, shape: numpy_generator.Shape, cache: LayerCache, dtype: Any
) -> numpy_generator.Layer:
    attention, mlp = layer.attention, layer.mlp
    return numpy_generator.Layer(
        shape,
        qkv=_joined([attention.q, attention.k, attention.v], dtype),
        out=_product(attention.out, dtype),
        gate_up=_product(mlp.gate_up, dtype),
        down=_product(mlp.down, dtype),
        norms=(
            _norm(layer.attention_norm),
            _norm(layer.attention_post_norm),
            _norm(layer.mlp_norm),
            _norm(layer.mlp_post_norm),
        ),
        keys=np.array(_host(cache.keys)),
        values=np.array(_host(cache.values)),
    )


def _embedding(layer: Any) -> numpy_generator.Product:
    """ids [b] → [b, d]; NumPy's own rows where the table is float32."""
    if isinstance(layer, nn.Embedding) and _plain(layer):
        table = _host(layer.weight)
        return lambda ids: table[ids]
    return lambda ids: _host(layer(ops.asarray(ids)))


def _norm(layer: Any) -> numpy_generator.Product:
    return numpy_generator.norm(_host(layer.weight), layer.eps)


def _product(layer: Any, dtype: Any) -> numpy_generator.Product:
    """A linear layer: NumPy's own product where that is the faster one."""
    if not isinstance(layer, nn.Linear) or not (_small(layer) or _plain(layer)):
        return lambda x_bi: _host(layer(ops.cast(ops.asarray(x_bi), dtype)))
    across = _host(layer.weight).T
    bias = None if layer.bias is None else _host(layer.bias)
    return numpy_generator.product(np.ascontiguousarray(across) if _small(layer) else across, bias)


def _joined(layers: list[Any], dtype: Any) -> numpy_generator.Product:
    """Several layers that read the same, their results side by side."""
    if not all(isinstance(layer, nn.Linear) and _small(layer) for layer in layers):
        return numpy_generator.together([_product(layer, dtype) for layer in layers])
    across = np.concatenate([_host(layer.weight).T for layer in layers], 1)
    return numpy_generator.product(across, np.concatenate([_host(layer.bias) for layer in layers]))


def _small(layer: Any) -> bool:
    return int(layer.weight.shape[1]) <= SMALL


def _plain(layer: Any) -> bool:
    return bool(layer.weight.dtype == ops.float32)


def _host(x: Tensor) -> Array:
    found: Array = ops.numpy(ops.cast(x, ops.float32))
    return found
