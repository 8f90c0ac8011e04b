"""The generator: an autoregressive transformer that writes an image as semantic tokens.

The body is GLM-4-0414's: grouped-query attention, sandwich norms (one before and one after each
branch), a fused gate and up projection; its rotary positions have three axes (time, row, column).
It reads text and image ids and can emit image ids alone.

Axes: b batch, l length, d hidden, h heads, k keys seen, v vision vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

from moyin.backend import Tensor, nn, ops
from moyin.models import rope
from moyin.models.config import GeneratorConfig


@dataclass
class LayerCache:
    """Keys and values of one layer, [B, kv_heads, length, head_dim], allocated once."""

    keys: Tensor
    values: Tensor

    def extend(self, start: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Write at `start`, and give everything up to the end of what was written."""
        self.keys = ops.cache_write(self.keys, start, k)
        self.values = ops.cache_write(self.values, start, v)
        stop = start + k.shape[2]
        return self.keys[:, :, :stop], self.values[:, :, :stop]


class Attention(nn.Module):
    """Grouped-query attention with rotary positions; bias on q, k and v only."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.head_dim = config.head_dim
        self.heads, self.kv_heads = config.heads, config.kv_heads
        self.q = nn.Linear(config.hidden, config.heads * config.head_dim)
        self.k = nn.Linear(config.hidden, config.kv_heads * config.head_dim)
        self.v = nn.Linear(config.hidden, config.kv_heads * config.head_dim)
        self.out = nn.Linear(config.heads * config.head_dim, config.hidden, bias=False)

    def forward(
        self,
        x_bld: Tensor,
        turn: tuple[Tensor, Tensor],
        mask: Tensor | None,
        cache: LayerCache | None,
        start: int,
    ) -> Tensor:
        batch, length, _ = x_bld.shape
        q = rope.rotate(self._split(self.q(x_bld), self.heads), *turn)
        k = rope.rotate(self._split(self.k(x_bld), self.kv_heads), *turn)
        v = self._split(self.v(x_bld), self.kv_heads)
        if cache is not None:
            k, v = cache.extend(start, k, v)
        if length == 1:
            # Heads that share their keys become the rows of one product: nothing is repeated.
            q = ops.reshape(q, (batch, self.kv_heads, -1, self.head_dim))
        y = ops.attention(q, k, v, mask=mask, causal=mask is None and length > 1)
        y = ops.reshape(y, (batch, self.heads, length, self.head_dim))
        return self.out(ops.reshape(ops.transpose(y, 1, 2), (batch, length, -1)))

    def _split(self, x_bld: Tensor, heads: int) -> Tensor:
        batch, length, _ = x_bld.shape
        return ops.transpose(ops.reshape(x_bld, (batch, length, heads, self.head_dim)), 1, 2)


class MLP(nn.Module):
    """SwiGLU (Shazeer 2020) with both input projections in one matrix, the gate first."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.gate_up = nn.Linear(config.hidden, 2 * config.ffn, bias=False)
        self.down = nn.Linear(config.ffn, config.hidden, bias=False)

    def forward(self, x_bld: Tensor) -> Tensor:
        gate, up = ops.chunk(self.gate_up(x_bld), 2, axis=2)
        return self.down(ops.silu(gate) * up)


class Layer(nn.Module):
    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.attention_norm = nn.RMSNorm(config.hidden, config.eps)
        self.attention = Attention(config)
        self.attention_post_norm = nn.RMSNorm(config.hidden, config.eps)
        self.mlp_norm = nn.RMSNorm(config.hidden, config.eps)
        self.mlp = MLP(config)
        self.mlp_post_norm = nn.RMSNorm(config.hidden, config.eps)

    def forward(
        self,
        x_bld: Tensor,
        turn: tuple[Tensor, Tensor],
        mask: Tensor | None,
        cache: LayerCache | None = None,
        start: int = 0,
    ) -> Tensor:
        y = self.attention(self.attention_norm(x_bld), turn, mask, cache, start)
        x_bld = x_bld + self.attention_post_norm(y)
        return x_bld + self.mlp_post_norm(self.mlp(self.mlp_norm(x_bld)))


class Generator(nn.Module):
    """ids and their (time, row, column) positions → logits of the next image id."""

    Config: TypeAlias = GeneratorConfig

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        # As large as what the sandwiched branches add to it, or it would be lost among them.
        self.embedding = nn.Embedding(config.vocab, config.hidden, std=1.0)
        self.layers = nn.ModuleList([Layer(config) for _ in range(config.layers)])
        self.norm = nn.RMSNorm(config.hidden, config.eps)
        self.head = nn.Linear(config.hidden, config.vision_vocab, bias=False)

    def forward(
        self,
        ids_bl: Tensor,
        positions_3bl: Tensor,
        mask_bl: Tensor | None = None,
        *,
        head_from: int = 0,
        dtype: Any = None,
    ) -> Tensor:
        """Logits [B, L − head_from, vision_vocab]: position i scores the id at i + 1.

        mask_bl: true at real tokens, false at padding; None when nothing is padded.
        dtype: what to compute in; the embedding's own when None.
        """
        length = ids_bl.shape[1]
        x = self.states(ids_bl, positions_3bl, mask_bl, dtype=dtype)
        return self.head(x[:, head_from:length])

    def states(
        self,
        ids_bl: Tensor,
        positions_3bl: Tensor,
        mask_bl: Tensor | None = None,
        *,
        dtype: Any = None,
    ) -> Tensor:
        """The normed hidden states [B, L, hidden] that the head reads."""
        x, turn, mask = self._begun(ids_bl, positions_3bl, mask_bl, dtype)
        for layer in self.layers:
            x = layer(x, turn, mask)
        return self.norm(x)

    def _begun(
        self, ids_bl: Tensor, positions_3bl: Tensor, mask_bl: Tensor | None, dtype: Any
    ) -> tuple[Tensor, Any, Any]:
        """What the first layer reads: the embedded ids, their rotations, and who sees whom."""
        x = self._embed(ids_bl, dtype)
        return x, self._turn(positions_3bl, x.dtype), visible(mask_bl, 0, ids_bl.shape[1])

    def new_cache(self, batch: int, length: int, dtype: Any = ops.float32) -> list[LayerCache]:
        """Room for `length` ids of `batch` samples; `step` computes in its dtype."""
        shape = (batch, self.config.kv_heads, length, self.config.head_dim)
        return [
            LayerCache(ops.zeros(shape, dtype), ops.zeros(shape, dtype))
            for _ in range(self.config.layers)
        ]

    def step(
        self,
        ids_bl: Tensor,
        positions_3bl: Tensor,
        cache: list[LayerCache],
        start: int,
        mask_bk: Tensor | None = None,
        *,
        last: int = 1,
    ) -> Tensor:
        """Read ids [B, L] after `start` cached ones; logits [B, last, vision_vocab] after the
        `last` ones.

        mask_bk: as in `forward`, over at least start + L cached positions, this call's included.
        """
        x = self._embed(ids_bl, cache[0].keys.dtype)
        turn = self._turn(positions_3bl, x.dtype)
        length = ids_bl.shape[1]
        mask = visible(mask_bk, start, length)
        for layer, memory in zip(self.layers, cache, strict=True):
            x = layer(x, turn, mask, memory, start)
        return self.head(self.norm(x[:, length - last :]))

    def _embed(self, ids_bl: Tensor, dtype: Any) -> Tensor:
        x = self.embedding(ids_bl)
        return x if dtype is None else ops.cast(x, dtype)

    def _turn(self, positions_3bl: Tensor, dtype: Any) -> tuple[Tensor, Tensor]:
        return rope.table(positions_3bl, self.config.rotary_sections, self.config.theta, dtype)


def visible(mask_bk: Tensor | None, start: int, length: int) -> Tensor | None:
    """What the queries start … start + length − 1 may see, [B or 1, 1, length, start + length].

    None where that is simply everything before them. A padding token sees itself, so that no
    row of the softmax is empty.
    """
    if mask_bk is None and (start == 0 or length == 1):
        return None
    stop = start + length
    keys = ops.reshape(ops.arange(stop), (1, 1, 1, stop))
    queries = ops.reshape(ops.arange(length) + start, (1, 1, length, 1))
    if mask_bk is None:
        return keys <= queries
    real = ops.reshape(mask_bk[:, :stop], (-1, 1, 1, stop))
    return ((keys <= queries) & real) | (keys == queries)
