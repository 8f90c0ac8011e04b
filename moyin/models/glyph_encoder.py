"""The glyph encoder: bytes of the quoted strings → states that tell the decoder how they look.

The encoder of T5 1.1 (Raffel et al. 2019; Shazeer 2020) as ByT5 uses it (Xue et al. 2021): no
absolute positions, a learned bias by bucketed distance shared by all layers, no scaling of the
attention scores.

Axes: b strings, l bytes, d hidden, h heads.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from moyin.backend import Tensor, nn, ops
from moyin.models.config import GlyphEncoderConfig


class Attention(nn.Module):
    def __init__(self, config: GlyphEncoderConfig) -> None:
        super().__init__()
        self.heads = config.heads
        inner = config.heads * config.head_dim
        self.q = nn.Linear(config.hidden, inner, bias=False)
        self.k = nn.Linear(config.hidden, inner, bias=False)
        self.v = nn.Linear(config.hidden, inner, bias=False)
        self.out = nn.Linear(inner, config.hidden, bias=False)
        # What a scale on the scores would do, the initial weights do; and branches start small.
        nn.set_parameter(self.q.weight, self.q.weight / config.head_dim**0.5)
        nn.set_parameter(self.out.weight, self.out.weight / (2 * config.layers) ** 0.5)

    def forward(self, x_bld: Tensor, bias: Tensor, mask: Tensor) -> Tensor:
        batch, length, _ = x_bld.shape
        q, k, v = (
            ops.transpose(ops.reshape(project(x_bld), (batch, length, self.heads, -1)), 1, 2)
            for project in (self.q, self.k, self.v)
        )
        y = ops.attention(q, k, v, mask=mask, bias=bias, scale=1.0)
        return self.out(ops.reshape(ops.transpose(y, 1, 2), (batch, length, -1)))


class Layer(nn.Module):
    def __init__(self, config: GlyphEncoderConfig) -> None:
        super().__init__()
        self.attention_norm = nn.RMSNorm(config.hidden, config.eps)
        self.attention = Attention(config)
        self.mlp_norm = nn.RMSNorm(config.hidden, config.eps)
        self.gate = nn.Linear(config.hidden, config.ffn, bias=False)
        self.up = nn.Linear(config.hidden, config.ffn, bias=False)
        self.down = nn.Linear(config.ffn, config.hidden, bias=False)
        nn.set_parameter(self.down.weight, self.down.weight / (2 * config.layers) ** 0.5)

    def forward(self, x_bld: Tensor, bias: Tensor, mask: Tensor) -> Tensor:
        x_bld = x_bld + self.attention(self.attention_norm(x_bld), bias, mask)
        y = self.mlp_norm(x_bld)
        gate = ops.gelu(self.gate(y), approximate="tanh")
        return x_bld + self.down(gate * self.up(y))


class GlyphEncoder(nn.Module):
    """Byte ids → states."""

    Config: TypeAlias = GlyphEncoderConfig

    def __init__(self, config: GlyphEncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab, config.hidden, std=1.0)
        std = config.hidden**-0.5  # as T5 starts it
        self.distance_bias = nn.Embedding(config.buckets, config.heads, std=std)
        self.layers = nn.ModuleList([Layer(config) for _ in range(config.layers)])
        self.norm = nn.RMSNorm(config.hidden, config.eps)

    def forward(self, ids_bl: Tensor, mask_bl: Tensor, *, dtype: Any = None) -> Tensor:
        """States [B, L, hidden]; those at padding (mask false) mean nothing.

        dtype: what to compute in; the embedding's own when None.
        """
        batch, length = ids_bl.shape
        x = self.embedding(ids_bl)
        x = x if dtype is None else ops.cast(x, dtype)
        mask = ops.reshape(mask_bl, (batch, 1, 1, length))
        bias = ops.cast(self._bias(length), x.dtype)
        for layer in self.layers:
            x = layer(x, bias, mask)
        return self.norm(x)

    def _bias(self, length: int) -> Tensor:
        """[1, heads, L, L]"""
        table = bucket_table(length, self.config.buckets, self.config.max_distance)
        bias = self.distance_bias(ops.asarray(table, ops.int64))
        return ops.reshape(ops.permute(bias, (2, 0, 1)), (1, self.config.heads, length, length))


def bucket_table(length: int, buckets: int, max_distance: int) -> np.ndarray[Any, Any]:
    """Bucket [query, key] of every distance key − query: half the buckets look each way.

    In each half, the first half are single distances and the rest are spaced logarithmically.
    """
    signed = np.arange(length)[None, :] - np.arange(length)[:, None]
    return relative_buckets(signed, buckets, max_distance)


def relative_buckets(
    signed: np.ndarray[Any, Any], buckets: int, max_distance: int
) -> np.ndarray[Any, Any]:
    """Bucket of each signed distance (key − query)."""
    half, single = buckets // 2, buckets // 4
    distance = np.abs(signed)
    # float32 throughout, so that a boundary falls on the same side as in the reference.
    ratio = np.log(np.maximum(distance, 1).astype(np.float32) / np.float32(single))
    span = np.float32(np.log(max_distance / single))
    far = single + (ratio / span * np.float32(half - single)).astype(np.int64)
    bucket = np.where(distance < single, distance, np.minimum(far, half - 1))
    return np.asarray(np.where(signed > 0, half, 0) + bucket)
