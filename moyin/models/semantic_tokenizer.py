"""The semantic tokenizer: an image, halved, to a grid of codebook ids.

A vision transformer (Dosovitskiy et al. 2021) without a final norm and a vector quantizer whose
codebook and inputs are L2-normalised, as in X-Omni's SigLIP-VQ and GLM-Image.
Axes: b image, c channel, h and w rows and columns, l = h·w patches row by row, d width.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from moyin.backend import Tensor, nn, ops
from moyin.models.config import SemanticTokenizerConfig

Array = np.ndarray[Any, Any]


class Attention(nn.Module):
    """Full attention over all patches of one image."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x_bld: Tensor) -> Tensor:
        b, length, d = x_bld.shape
        qkv = ops.reshape(self.qkv(x_bld), (b, length, 3, self.heads, d // self.heads))
        qkv = ops.permute(qkv, (2, 0, 3, 1, 4))
        y = ops.attention(qkv[0], qkv[1], qkv[2])
        return self.out(ops.reshape(ops.transpose(y, 1, 2), (b, length, d)))


class Mlp(nn.Module):
    """Two linears with a GELU between them."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.up = nn.Linear(width, inner)
        self.down = nn.Linear(inner, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(ops.gelu(self.up(x)))


class Block(nn.Module):
    """Pre-norm attention and MLP."""

    def __init__(self, config: SemanticTokenizerConfig) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.width, eps=1e-6)
        self.attention = Attention(config.width, config.heads)
        self.norm2 = nn.LayerNorm(config.width, eps=1e-6)
        self.mlp = Mlp(config.width, config.mlp)

    def forward(self, x_bld: Tensor) -> Tensor:
        x_bld = x_bld + self.attention(self.norm1(x_bld))
        return x_bld + self.mlp(self.norm2(x_bld))


def bilinear(count: int, table: int) -> Array:
    """Weights [count, table] that sample a table at `count` pixel centres, borders repeated."""
    at = np.clip((np.arange(count) + 0.5) / count * table - 0.5, 0, table - 1)
    low = np.minimum(np.floor(at).astype(int), table - 1)
    high = np.minimum(low + 1, table - 1)
    weights = np.zeros((count, table), np.float32)
    np.add.at(weights, (np.arange(count), low), 1 - (at - low))
    np.add.at(weights, (np.arange(count), high), at - low)
    return weights


class SemanticTokenizer(nn.Module):
    """Pixels [B, 3, 16·h, 16·w] (halved and normalised) → ids [B, h, w]."""

    Config: TypeAlias = SemanticTokenizerConfig

    def __init__(self, config: SemanticTokenizerConfig) -> None:
        super().__init__()
        self.config = config
        self.patch_embed = nn.Conv2d(3, config.width, config.patch, stride=config.patch)
        self.position = nn.Embedding(config.table**2, config.width)
        self.blocks = nn.ModuleList([Block(config) for _ in range(config.layers)])
        self.quant_conv = nn.Conv2d(config.width, config.code_width, 1)
        self.codebook = nn.Embedding(config.codes, config.code_width, std=1.0)
        self.post_quant_conv = nn.Conv2d(config.code_width, config.width, 1)

    def features(self, pixels_bchw: Tensor) -> Tensor:
        """Unquantized features [B, width, h, w]."""
        x = self.patch_embed(pixels_bchw)
        b, d, h, w = x.shape
        x = ops.transpose(ops.reshape(x, (b, d, h * w)), 1, 2)
        x = x + ops.cast(self.positions(h, w), x.dtype)
        for block in self.blocks:
            x = block(x)
        return ops.reshape(ops.transpose(x, 1, 2), (b, d, h, w))

    def project(self, features_bdhw: Tensor) -> Tensor:
        """Features → unit vectors [B, h, w, code_width] to be matched with the codebook."""
        z = ops.cast(self.quant_conv(features_bdhw), ops.float32)
        return unit(ops.permute(z, (0, 2, 3, 1)))

    def nearest(self, z_bhwc: Tensor) -> Tensor:
        """Ids [B, h, w] of the nearest codes: for unit vectors, those of largest product."""
        codes = unit(ops.cast(self.codebook.weight, ops.float32))
        return ops.argmax(ops.matmul(z_bhwc, ops.transpose(codes, 0, 1)), -1)

    def encode(self, pixels_bchw: Tensor) -> Tensor:
        """Ids [B, h, w] as int64."""
        return self.nearest(self.project(self.features(pixels_bchw)))

    def positions(self, h: int, w: int) -> Tensor:
        """The learned positions at the patch centres of an h × w grid: [h·w, width]."""
        side, d = self.config.table, self.config.width
        table = ops.cast(self.position.weight, ops.float32)
        rows = ops.matmul(ops.asarray(bilinear(h, side)), ops.reshape(table, (side, side * d)))
        columns = ops.transpose(ops.reshape(rows, (h, side, d)), 0, 1)
        sampled = ops.matmul(ops.asarray(bilinear(w, side)), ops.reshape(columns, (side, h * d)))
        return ops.reshape(ops.transpose(ops.reshape(sampled, (w, h, d)), 0, 1), (h * w, d))


def unit(x: Tensor) -> Tensor:
    """x over its L2 norm along the last axis."""
    return x / ops.clip(ops.sqrt(ops.sum(ops.square(x), -1, keepdims=True)), 1e-12, 1e30)
