"""The decoder: a single-stream diffusion transformer that paints a grid of semantic tokens.

The network of GLM-Image's `transformer` folder: a DiT with AdaLN-Zero (Peebles and Xie 2023) in
which glyph tokens and image tokens share every projection and attend to each other, while each
kind has modulations of its own. The prompt never enters: what is said comes through the semantic
ids, and how quoted characters look through the glyph states.

Axes: b batch · t glyph tokens · n image tokens (rows x columns of 2x2 latent patches, row-major)
· s = t + n · d channels · h heads · k channels of a head · r tokens of reference images.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np

from moyin.backend import Tensor, nn, ops
from moyin.models.config import DecoderConfig
from moyin.models.first_block_cache import FirstBlockCache

THETA = 10000.0
MLP_RATIO = 4

Streams = tuple[Tensor, ...]
"""What runs through the blocks: (image,) or (image, glyphs), each [B, tokens, D]."""

References = tuple[tuple[Tensor, Tensor], ...]
"""Keys and values of reference images: one pair [B, H, R, K] for every block."""


class Decoder(nn.Module):
    """Velocity of noised latents, given semantic tokens and glyph states."""

    Config: TypeAlias = DecoderConfig

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.config = config
        dim, pixels = config.dim, config.channels * config.patch**2
        self.patches = nn.Linear(pixels, dim)
        self.glyphs = MLP(config.glyph_dim, dim, dim)
        self.prior_embedding = nn.Embedding(config.codes, dim)
        self.prior = MLP(dim, dim, dim)
        self.condition = Condition(config)
        self.blocks = nn.ModuleList([Block(config) for _ in range(config.layers)])
        self.out_modulation = zero(nn.Linear(config.time_dim, 2 * dim))
        self.out_norm = nn.LayerNorm(dim, affine=False)
        self.out = zero(nn.Linear(dim, pixels))

    def forward(
        self,
        latents: Tensor,
        glyphs: Tensor,
        glyph_mask: Tensor | None,
        prior: Tensor,
        prior_drop: Tensor,
        timestep: Tensor,
        target_size: Tensor,
        crop: Tensor,
        references: References | None = None,
        origin: Tensor | None = None,
    ) -> Tensor:
        """Velocity (noise minus data) at the noised `latents`, [B, C, h, w] like them.

        glyphs [B, T, glyph_dim]; glyph_mask [B, T] bool, true where a state is real (None: all
        are); prior [B, N] int, the ids of the d32 grid upsampled twice to the patch grid;
        prior_drop [B] bool, where the ids are hidden; timestep [B] float as the network sees it
        (`flow.schedule`: 999 at pure noise); target_size and crop [B, 2] float, (height, width)
        and (top, left) in pixels; references from `write`, of batch B or 1; origin [B, 2] float,
        the row and column of patches at which the latents lie in an image that they are part of.
        """
        height, width = latents.shape[2:]
        scene = self.scene(
            glyphs, glyph_mask, prior, prior_drop, height, width, latents.dtype, references, origin
        )
        return self.velocity(latents, scene, self.moment(timestep, target_size, crop, scene))

    def scene(
        self,
        glyphs: Tensor,
        glyph_mask: Tensor | None,
        prior: Tensor,
        prior_drop: Tensor,
        height: int,
        width: int,
        dtype: Any,
        references: References | None = None,
        origin: Tensor | None = None,
        referred: Tensor | None = None,
    ) -> Scene:
        """What stays the same in all steps of an image whose latents are [B, C, height, width].

        Arguments as in `forward`; dtype is what the network computes in; referred [B] bool: which
        samples see their references, None for all.
        """
        hidden = self._prior(prior, prior_drop, dtype)
        stored = 0 if references is None else references[0][0].shape[2]
        return Scene(
            self._glyphs(glyphs, dtype),
            hidden,
            self._tables(height, width, glyphs.shape[1], dtype, origin),
            key_mask(glyph_mask, hidden.shape[1], stored, referred),
            references,
        )

    def moment(self, timestep: Tensor, target_size: Tensor, crop: Tensor, scene: Scene) -> Moment:
        """Every block's modulation at a time, size and crop: a row for each of them."""
        condition = self.condition(timestep, target_size, crop, scene.prior.dtype)
        blocks: Any = self.blocks
        modulations = tuple(block.modulation(condition)[:, None] for block in blocks)
        return Moment(modulations, self.out_modulation(condition)[:, None])

    def velocity(
        self,
        latents: Tensor,
        scene: Scene,
        moment: Moment,
        cache: FirstBlockCache | None = None,
    ) -> Tensor:
        """Velocity at the noised `latents` [B, C, h, w]; a moment of one row is every sample's.

        cache: this scene's own, from step to step; without one every block is computed.
        """
        before = self.enter(latents, scene)
        first = self.through(0, 1, before, scene, moment)

        def later() -> Tensor:
            return self.through(1, self.config.layers, first, scene, moment)[0]

        last = later() if cache is None else cache.last(before[0], first[0], later)
        return self.leave(last, moment, *latents.shape[2:])

    def enter(self, latents: Tensor, scene: Scene) -> Streams:
        """The streams before the first block."""
        image = self.patches(patchify(latents, self.config.patch)) + scene.prior
        return image, scene.glyphs

    def through(
        self, start: int, stop: int, streams: Streams, scene: Scene, moment: Moment
    ) -> Streams:
        """The streams after the blocks from number `start` up to `stop`, which is left out."""
        for i in range(start, stop):
            earlier = None if scene.references is None else scene.references[i]
            streams, _ = self.blocks[i](
                streams, moment.blocks[i], scene.tables, scene.mask, earlier
            )
        return streams

    def leave(self, image: Tensor, moment: Moment, height: int, width: int) -> Tensor:
        """Velocity [B, C, height, width], from the image tokens after the last block."""
        scale, shift = ops.chunk(moment.out, 2, 2)
        out = self.out(ops.addcmul(shift, self.out_norm(image), 1 + scale))
        return unpatchify(out, self.config.patch, height, width)

    def write(
        self, latents: Tensor, prior: Tensor, target_size: Tensor, crop: Tensor
    ) -> References:
        """Read one reference image a sample, clean, and keep every block's keys and values.

        Arguments as in `forward`; the image is seen at time 0, with its own ids and size, and
        sees neither glyphs nor the target. Several images are joined by `join`.
        """
        b, _, height, width = latents.shape
        hidden = self._prior(prior, ops.zeros((b,), ops.bool_), latents.dtype)
        streams: Streams = (self.patches(patchify(latents, self.config.patch)) + hidden,)
        condition = self.condition(ops.zeros((b,)), target_size, crop, latents.dtype)
        tables = self._tables(height, width, 0, latents.dtype)
        found, blocks = [], list[Any](self.blocks)
        for block in blocks:
            modulation = block.modulation(condition)[:, None]
            streams, pair = block(streams, modulation, tables, None, None)
            found.append(pair)
        return tuple(found)

    def _prior(self, prior: Tensor, prior_drop: Tensor, dtype: Any) -> Tensor:
        embedded = ops.cast(self.prior_embedding(prior), dtype)
        embedded = ops.where(prior_drop[:, None, None], ops.zeros_like(embedded), embedded)
        return self.prior.down(ops.silu(self.prior.up(embedded)))

    def _glyphs(self, glyphs: Tensor, dtype: Any) -> Tensor:
        return self.glyphs.down(ops.gelu(self.glyphs.up(ops.cast(glyphs, dtype))))

    def _tables(
        self, height: int, width: int, glyphs: int, dtype: Any, origin: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """cos and signed sin, [S, K], or [B, S, K] where each sample has an origin of its own."""
        p, k = self.config.patch, self.config.head_dim
        if origin is None:
            cos, sin = (ops.asarray(x, dtype) for x in rotations(height // p, width // p, k))
        else:
            cos, sin = (ops.cast(x, dtype) for x in turns(origin, height // p, width // p, k))
        if not glyphs:
            return cos, sin
        shape = (*cos.shape[:-2], glyphs, k)
        one, nil = ops.ones(shape, dtype), ops.zeros(shape, dtype)
        return ops.concat([one, cos], -2), ops.concat([nil, sin], -2)


@dataclass(frozen=True)
class Scene:
    """What an image's steps share: projected glyphs [B, T, D] and ids [B, N, D], the turns of all
    tokens, the mask of the keys, and what is kept of reference images."""

    glyphs: Tensor
    prior: Tensor
    tables: tuple[Tensor, Tensor]
    mask: Tensor | None
    references: References | None


@dataclass(frozen=True)
class Moment:
    """What the time of a step makes of the network: each block's modulation [B or 1, 1, 12·D], and
    the output's [B or 1, 1, 2·D]."""

    blocks: tuple[Tensor, ...]
    out: Tensor

    def row(self, number: int) -> Moment:
        """One of several times' moments."""
        some = slice(number, number + 1)
        return Moment(tuple(block[some] for block in self.blocks), self.out[some])


class MLP(nn.Module):
    """The weights of two linear layers; the owner puts its activation between them."""

    def __init__(self, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.up = nn.Linear(inputs, hidden)
        self.down = nn.Linear(hidden, outputs)


class Condition(nn.Module):
    """Time, target size and crop as one activated vector [B, time_dim]."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.config = config
        self.time = MLP(config.time_dim, config.time_dim, config.time_dim)
        self.size = MLP(4 * config.size_dim, config.time_dim, config.time_dim)

    def forward(self, timestep: Tensor, target_size: Tensor, crop: Tensor, dtype: Any) -> Tensor:
        b, c = timestep.shape[0], self.config
        sizes = ops.concat([ops.cast(crop, ops.float32), ops.cast(target_size, ops.float32)], 1)
        time = ops.cast(waves(ops.cast(timestep, ops.float32), c.time_dim), dtype)
        size = ops.cast(ops.reshape(waves(sizes, c.size_dim), (b, 4 * c.size_dim)), dtype)
        time = self.time.down(ops.silu(self.time.up(time)))
        return ops.silu(time + self.size.down(ops.silu(self.size.up(size))))


class Block(nn.Module):
    """Attention and MLP over glyph and image tokens together, modulated apart."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        dim = config.dim
        self.modulation = zero(nn.Linear(config.time_dim, 12 * dim))
        self.norm = nn.LayerNorm(dim, affine=False)
        self.attention = Attention(config)
        self.mlp = MLP(dim, MLP_RATIO * dim, dim)

    def forward(
        self,
        streams: Streams,
        modulation: Tensor,
        tables: tuple[Tensor, Tensor],
        mask: Tensor | None,
        earlier: tuple[Tensor, Tensor] | None,
    ) -> tuple[Streams, tuple[Tensor, Tensor]]:
        """The streams after the block, and the keys and values [B, H, S, K] of its own tokens.

        modulation: what the owner let `self.modulation` make of its condition, [B or 1, 1, 12·D].
        """
        vectors = ops.chunk(modulation, 12, 2)
        shift, scale, gate, shift_mlp, scale_mlp, gate_mlp = (
            vectors[i : i + len(streams)] for i in range(0, 12, 2)
        )
        joined = self._modulate(streams, shift, scale)
        attended, pair = self.attention(joined, tables, mask, earlier)
        streams = add(streams, attended, gate)
        joined = self._modulate(streams, shift_mlp, scale_mlp)
        joined = self.mlp.down(ops.gelu(self.mlp.up(joined), "tanh"))
        return add(streams, joined, gate_mlp), pair

    def _modulate(self, streams: Streams, shift: Streams, scale: Streams) -> Tensor:
        parts = [
            ops.addcmul(b, self.norm(x), 1 + a)
            for x, a, b in zip(streams, scale, shift, strict=True)
        ]
        return ops.concat(parts[::-1], 1) if len(parts) > 1 else parts[0]


class Attention(nn.Module):
    """Full attention with normalised, rotated queries and keys: [B, S, D] → [B, S, D]."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.heads, self.head_dim = config.heads, config.head_dim
        self.q = nn.Linear(config.dim, config.dim)
        self.k = nn.Linear(config.dim, config.dim)
        self.v = nn.Linear(config.dim, config.dim)
        self.out = nn.Linear(config.dim, config.dim)
        self.norm = nn.LayerNorm(config.head_dim, affine=False)

    def forward(
        self,
        x: Tensor,
        tables: tuple[Tensor, Tensor],
        mask: Tensor | None,
        earlier: tuple[Tensor, Tensor] | None,
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        b, s, dim = x.shape
        q, k, v = (
            ops.reshape(part(x), (b, s, self.heads, self.head_dim))
            for part in (self.q, self.k, self.v)
        )
        q, k = rotate(self.norm(q), *tables), rotate(self.norm(k), *tables)
        q, k, v = (ops.transpose(part, 1, 2) for part in (q, k, v))
        own = k, v
        if earlier is not None:
            k, v = (prepend(past, new) for past, new in zip(earlier, own, strict=True))
        attended = ops.transpose(ops.attention(q, k, v, mask=mask), 1, 2)
        return self.out(ops.reshape(attended, (b, s, dim))), own


def zero(layer: nn.Linear) -> nn.Linear:
    """The layer with all its weights zero, so that a fresh network changes nothing."""
    for parameter in nn.named_parameters(layer).values():
        nn.set_parameter(parameter, ops.zeros(parameter.shape))
    return layer


def add(streams: Streams, joined: Tensor, gates: Streams) -> Streams:
    """Add what a branch made of the joined tokens (glyphs first), through each stream's gate."""
    sizes = [x.shape[1] for x in reversed(streams)]
    parts = ops.split(joined, sizes, 1)[::-1]
    return tuple(ops.addcmul(x, y, g) for x, y, g in zip(streams, parts, gates, strict=True))


def join(references: Sequence[References]) -> References:
    """Several reference images of each sample as one, in order."""
    return tuple(
        (ops.concat([k for k, _ in layer], 2), ops.concat([v for _, v in layer], 2))
        for layer in zip(*references, strict=True)
    )


def prepend(past: Tensor, new: Tensor) -> Tensor:
    """[B or 1, H, R, K] before [B, H, S, K]: references of batch 1 are shared by all samples."""
    return ops.concat([ops.broadcast_to(past, (new.shape[0], *past.shape[1:])), new], 2)


def key_mask(
    glyph_mask: Tensor | None, image: int, stored: int, referred: Tensor | None = None
) -> Tensor | None:
    """[B, 1, 1, R + T + N] bool, false at padded glyphs, and at the references of samples that are
    not to see them; None where no mask of the glyphs is given."""
    if glyph_mask is None:
        return None
    b = glyph_mask.shape[0]
    before, after = ops.ones((b, stored), ops.bool_), ops.ones((b, image), ops.bool_)
    if referred is not None:
        before = ops.broadcast_to(referred[:, None], (b, stored))
    return ops.concat([before, glyph_mask, after], 1)[:, None, None]


def patchify(x_bchw: Tensor, p: int) -> Tensor:
    """[B, C, h, w] → [B, N, C·p·p], row-major, channels slowest inside a patch."""
    b, c, h, w = x_bchw.shape
    x = ops.reshape(x_bchw, (b, c, h // p, p, w // p, p))
    return ops.reshape(ops.permute(x, (0, 2, 4, 1, 3, 5)), (b, h // p * (w // p), c * p * p))


def unpatchify(x_bnd: Tensor, p: int, height: int, width: int) -> Tensor:
    """The inverse of `patchify` for latents of this height and width."""
    b, _, d = x_bnd.shape
    c = d // p**2
    x = ops.reshape(x_bnd, (b, height // p, width // p, c, p, p))
    return ops.reshape(ops.permute(x, (0, 3, 1, 4, 2, 5)), (b, c, height, width))


def waves(x: Tensor, size: int) -> Tensor:
    """[...] → [..., size]: cosines, then sines, at size/2 frequencies from 1 down to 1/THETA."""
    frequencies = np.exp(-math.log(THETA) * np.arange(size // 2) / (size // 2))
    angles = x[..., None] * ops.asarray(frequencies.astype(np.float32))
    return ops.concat([ops.cos(angles), ops.sin(angles)], -1)


def rotate(x_bshk: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Half-split rotary embedding (Su et al. 2021): channel i turns with channel i + K/2.

    cos and sin [S, K] or [B, S, K]. The first half of `sin` carries the minus sign, so that one
    fused product does both halves.
    """
    a, b = ops.chunk(x_bshk, 2, 3)
    return ops.addcmul(x_bshk * cos[..., None, :], ops.concat([b, a], 3), sin[..., None, :])


def turns(origin_b2: Tensor, rows: int, columns: int, head_dim: int) -> tuple[Tensor, Tensor]:
    """cos and signed sin, [B, rows·columns, head_dim], of grids that start at (row, column).

    A quarter of the channels turn by the row, the next by the column, and again for the second
    half.
    """
    quarter = head_dim // 4
    frequencies = ops.asarray((THETA ** (-np.arange(quarter) / quarter)).astype(np.float32))
    grid = np.mgrid[:rows, :columns].reshape(2, -1, 1).astype(np.float32)
    places = origin_b2[:, :, None, None] + ops.asarray(grid)
    angles = ops.concat([places[:, 0] * frequencies, places[:, 1] * frequencies], 2)
    cos, sin = ops.cos(angles), ops.sin(angles)
    return ops.concat([cos, cos], 2), ops.concat([-sin, sin], 2)


@lru_cache(maxsize=8)
def rotations(
    rows: int, columns: int, head_dim: int
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """`turns` of the grid that starts at (0, 0), [rows·columns, head_dim] float32."""
    cos, sin = turns(ops.zeros((1, 2)), rows, columns, head_dim)
    return ops.numpy(cos)[0], ops.numpy(sin)[0]
