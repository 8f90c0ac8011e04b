"""The decoder: a single-stream diffusion transformer that turns semantic tokens into latents.

The network of GLM-Image's `transformer` folder: a DiT with AdaLN-Zero (Peebles and Xie 2023).
Glyph tokens and image tokens share all projections and attend to each other; each of the two
streams has its own modulation. The prompt itself is not an input: the semantic tokens carry the
content, and the glyph states show how quoted characters look.

Axes: b batch · t glyph tokens · n image tokens (rows × columns of 2 × 2 latent patches, row-major)
· s = t + n, glyph tokens first · d channels · h heads · k channels of a head · r tokens of
reference images.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from moyin.backend import Tensor, nn, ops
from moyin.models.config import DecoderConfig
from moyin.models.layers import FeedForward, gelu_tanh, merge_heads, zero_init
from moyin.models.rope import Rope, grid_table, rotate_whole

THETA = 10000.0
MLP_RATIO = 4
PATCHES_PER_TOKEN = 2  # image tokens along the side of a semantic token

KeyValue = tuple[Tensor, Tensor]
"""Keys and values of one block, [B, H, S, K] each."""

References = tuple[KeyValue, ...]
"""Keys and values of reference images, [B or 1, H, R, K] each, for every block."""


class Streams(NamedTuple):
    """Tokens between blocks: glyph [B, T, D], None while a reference is encoded; image [B, N, D].

    A NamedTuple, because FSDP looks for tensors in the arguments and results of a block.
    """

    glyph: Tensor | None
    image: Tensor


@dataclass(frozen=True, kw_only=True)
class DecoderInputs:
    """The condition of a batch of images.

    glyphs [B, T, glyph_dim]: states of the glyph encoder. glyph_mask [B, T] bool: true where a
    state is real; None if all are. tokens [B, N] int: the semantic token of each image token
    (`upsample_tokens`). tokens_dropped [B] bool: samples that do not see their tokens.
    height, width: of the latents. references: from `Decoder.encode_reference`; references_seen [B]
    bool: samples that see them, None for all. origin [B, 2] float: row and column of patches at
    which the latents lie in the image that they are a crop of; None for (0, 0).
    """

    glyphs: Tensor
    glyph_mask: Tensor | None
    tokens: Tensor
    tokens_dropped: Tensor
    height: int
    width: int
    references: References | None = None
    references_seen: Tensor | None = None
    origin: Tensor | None = None


@dataclass(frozen=True)
class Conditioning:
    """What all denoising steps of an image share.

    glyph [B, T, D] and tokens [B, N, D]: projected. rope: tables of all tokens, [S, K] or
    [B, S, K]. mask [B, 1, 1, R + S] bool: keys that may be seen.
    """

    glyph: Tensor | None
    tokens: Tensor
    rope: Rope
    mask: Tensor | None
    references: References | None


@dataclass(frozen=True)
class Modulation:
    """AdaLN parameters of one timestep, or of several in rows.

    blocks: [B or 1, 1, 12·D] for every block. final: [B or 1, 1, 2·D] of the last layer.
    """

    blocks: tuple[Tensor, ...]
    final: Tensor

    def row(self, number: int) -> Modulation:
        """The modulation of one row, as a batch of 1."""
        rows = slice(number, number + 1)
        return Modulation(tuple(block[rows] for block in self.blocks), self.final[rows])


class BranchModulation(NamedTuple):
    """Shift, scale and gate of one branch of a block for both streams, [B or 1, 1, D] each.

    The order is that of the released weights.
    """

    image_shift: Tensor
    glyph_shift: Tensor
    image_scale: Tensor
    glyph_scale: Tensor
    image_gate: Tensor
    glyph_gate: Tensor


class Decoder(nn.Module):
    """Velocity of noised latents, given semantic tokens and glyph states."""

    Config: TypeAlias = DecoderConfig

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.config = config
        dim, patch_dim = config.dim, config.channels * config.patch**2
        self.patches = nn.Linear(patch_dim, dim)
        self.glyphs = FeedForward(config.glyph_dim, dim, dim, ops.gelu)
        self.prior_embedding = nn.Embedding(config.codes, dim)
        self.prior = FeedForward(dim, dim, dim, ops.silu)
        self.condition = TimeAndSize(config)
        self.blocks = nn.ModuleList([Block(config) for _ in range(config.layers)])
        self.out_modulation = zero_init(nn.Linear(config.time_dim, 2 * dim))
        self.out_norm = nn.LayerNorm(dim, affine=False)
        self.out = zero_init(nn.Linear(dim, patch_dim))

    def forward(
        self, latents: Tensor, conditioning: Conditioning, modulation: Modulation
    ) -> Tensor:
        """Velocity (noise minus data) of noised latents [B, C, h, w], of their shape and dtype."""
        streams = self.embed(latents, conditioning)
        streams = self.run_blocks(streams, conditioning, modulation)
        return self.final_layer(streams.image, modulation, *latents.shape[2:])

    def conditioning(self, inputs: DecoderInputs, dtype: Any) -> Conditioning:
        """Project the inputs; dtype is what the network computes in."""
        tokens = self._project_tokens(inputs.tokens, inputs.tokens_dropped, dtype)
        references = inputs.references
        return Conditioning(
            self.glyphs(ops.cast(inputs.glyphs, dtype)),
            tokens,
            self._rope(inputs.height, inputs.width, inputs.glyphs.shape[1], dtype, inputs.origin),
            key_mask(
                inputs.glyph_mask,
                tokens.shape[1],
                0 if references is None else references[0][0].shape[2],
                inputs.references_seen,
            ),
            references,
        )

    def modulation(
        self, timestep: Tensor, target_size: Tensor, crop: Tensor, dtype: Any
    ) -> Modulation:
        """The modulation at timesteps [B] (0 … 999, see `moyin.flow.schedule`).

        target_size [B, 2]: height and width of the image in pixels; crop [B, 2]: its top and left.
        """
        condition = self.condition(timestep, target_size, crop, dtype)
        blocks: Any = self.blocks
        modulations = tuple(block.modulation(condition)[:, None] for block in blocks)
        return Modulation(modulations, self.out_modulation(condition)[:, None])

    def embed(self, latents: Tensor, conditioning: Conditioning) -> Streams:
        """The streams before the first block, of latents [B, C, h, w]."""
        image = self.patches(patchify(latents, self.config.patch)) + conditioning.tokens
        return Streams(conditioning.glyph, image)

    def run_blocks(
        self,
        streams: Streams,
        conditioning: Conditioning,
        modulation: Modulation,
        start: int = 0,
        stop: int | None = None,
        key_values: list[KeyValue] | None = None,
    ) -> Streams:
        """The streams after the blocks `start` … `stop` − 1; by default after all blocks.

        key_values: a list to which the keys and values of each block's tokens are appended.
        """
        for i in range(start, self.config.layers if stop is None else stop):
            reference = None if conditioning.references is None else conditioning.references[i]
            streams, key_value = self.blocks[i](
                streams, modulation.blocks[i], conditioning.rope, conditioning.mask, reference
            )
            if key_values is not None:
                key_values.append(key_value)
        return streams

    def final_layer(self, image: Tensor, modulation: Modulation, height: int, width: int) -> Tensor:
        """Velocity [B, C, height, width], of the image stream [B, N, D] after the last block."""
        scale, shift = ops.chunk(modulation.final, 2, 2)
        out = self.out(ops.addcmul(shift, self.out_norm(image), 1 + scale))
        return unpatchify(out, self.config.patch, height, width)

    def encode_reference(
        self, latents: Tensor, tokens: Tensor, target_size: Tensor, crop: Tensor
    ) -> References:
        """Keys and values, in every block, of one clean reference image per sample.

        latents [B, C, h, w]; tokens [B, N]; target_size and crop as in `modulation`. A reference
        has timestep 0 and attends to itself alone. `concat_references` joins several.
        """
        b, _, height, width = latents.shape
        dtype = latents.dtype
        projected = self._project_tokens(tokens, ops.zeros((b,), ops.bool_), dtype)
        rope = self._rope(height, width, 0, dtype)
        conditioning = Conditioning(None, projected, rope, None, None)
        modulation = self.modulation(ops.zeros((b,)), target_size, crop, dtype)
        key_values: list[KeyValue] = []
        streams = self.embed(latents, conditioning)
        self.run_blocks(streams, conditioning, modulation, key_values=key_values)
        return tuple(key_values)

    def _project_tokens(self, tokens: Tensor, dropped: Tensor, dtype: Any) -> Tensor:
        embedded = ops.cast(self.prior_embedding(tokens), dtype)
        embedded = ops.where(dropped[:, None, None], ops.zeros_like(embedded), embedded)
        return self.prior(embedded)

    def _rope(
        self, height: int, width: int, glyphs: int, dtype: Any, origin: Tensor | None = None
    ) -> Rope:
        """Tables of all tokens, [S, K], or [B, S, K] with an origin. Glyph tokens do not rotate."""
        p, k = self.config.patch, self.config.head_dim
        cos, sin = grid_table(height // p, width // p, k, THETA, origin)
        if origin is None:
            cos, sin = ops.asarray(cos, dtype), ops.asarray(sin, dtype)
        else:
            cos, sin = ops.cast(cos, dtype), ops.cast(sin, dtype)
        if not glyphs:
            return cos, sin
        shape = (*cos.shape[:-2], glyphs, k)
        ones, zeros = ops.ones(shape, dtype), ops.zeros(shape, dtype)
        return ops.concat([ones, cos], -2), ops.concat([zeros, sin], -2)


class TimeAndSize(nn.Module):
    """Timestep, target size and crop → one activated vector [B, time_dim]."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.config = config
        self.time = FeedForward(config.time_dim, config.time_dim, config.time_dim, ops.silu)
        self.size = FeedForward(4 * config.size_dim, config.time_dim, config.time_dim, ops.silu)

    def forward(self, timestep: Tensor, target_size: Tensor, crop: Tensor, dtype: Any) -> Tensor:
        b, c = timestep.shape[0], self.config
        sizes = ops.concat([ops.cast(crop, ops.float32), ops.cast(target_size, ops.float32)], 1)
        time = timestep_embedding(ops.cast(timestep, ops.float32), c.time_dim)
        size = ops.reshape(timestep_embedding(sizes, c.size_dim), (b, 4 * c.size_dim))
        time = self.time(ops.cast(time, dtype))
        return ops.silu(time + self.size(ops.cast(size, dtype)))


class Block(nn.Module):
    """Attention and feed-forward over the joined tokens; each stream is modulated separately."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        dim = config.dim
        self.modulation = zero_init(nn.Linear(config.time_dim, 12 * dim))
        self.norm = nn.LayerNorm(dim, affine=False)
        self.attention = Attention(config)
        self.mlp = FeedForward(dim, MLP_RATIO * dim, dim, gelu_tanh)

    def forward(
        self,
        streams: Streams,
        modulation: Tensor,
        rope: Rope,
        mask: Tensor | None,
        reference: KeyValue | None,
    ) -> tuple[Streams, KeyValue]:
        """The streams after the block, and the keys and values of their tokens.

        modulation [B or 1, 1, 12·D]: what the decoder computed with `self.modulation`.
        """
        vectors = ops.chunk(modulation, 12, 2)
        attention, mlp = BranchModulation(*vectors[:6]), BranchModulation(*vectors[6:])
        joined, key_value = self.attention(self._join(streams, attention), rope, mask, reference)
        streams = add_gated(streams, joined, attention)
        return add_gated(streams, self.mlp(self._join(streams, mlp)), mlp), key_value

    def _join(self, streams: Streams, branch: BranchModulation) -> Tensor:
        """Normalized and modulated tokens of both streams, [B, S, D]."""
        image = self.norm(streams.image)
        image = ops.addcmul(branch.image_shift, image, 1 + branch.image_scale)
        if streams.glyph is None:
            return image
        glyph = self.norm(streams.glyph)
        glyph = ops.addcmul(branch.glyph_shift, glyph, 1 + branch.glyph_scale)
        return ops.concat([glyph, image], 1)


class Attention(nn.Module):
    """Full attention with normalized, rotated queries and keys: [B, S, D] → [B, S, D]."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.heads, self.head_dim = config.heads, config.head_dim
        self.q = nn.Linear(config.dim, config.dim)
        self.k = nn.Linear(config.dim, config.dim)
        self.v = nn.Linear(config.dim, config.dim)
        self.out = nn.Linear(config.dim, config.dim)
        self.norm = nn.LayerNorm(config.head_dim, affine=False)

    def forward(
        self, x: Tensor, rope: Rope, mask: Tensor | None, reference: KeyValue | None
    ) -> tuple[Tensor, KeyValue]:
        """The attended tokens, and their keys and values; `reference` is put before those."""
        b, s, _ = x.shape
        q, k, v = (
            ops.reshape(project(x), (b, s, self.heads, self.head_dim))
            for project in (self.q, self.k, self.v)
        )
        q, k = rotate_whole(self.norm(q), *rope), rotate_whole(self.norm(k), *rope)
        q, k, v = (ops.transpose(y, 1, 2) for y in (q, k, v))
        key_value = k, v
        if reference is not None:
            k, v = prepend(reference[0], k), prepend(reference[1], v)
        return self.out(merge_heads(ops.attention(q, k, v, mask=mask))), key_value


def add_gated(streams: Streams, joined: Tensor, branch: BranchModulation) -> Streams:
    """Add a branch's result [B, S, D] to the streams, each through its gate."""
    if streams.glyph is None:
        return Streams(None, ops.addcmul(streams.image, joined, branch.image_gate))
    sizes = [streams.glyph.shape[1], streams.image.shape[1]]
    glyph, image = ops.split(joined, sizes, 1)
    image = ops.addcmul(streams.image, image, branch.image_gate)
    return Streams(ops.addcmul(streams.glyph, glyph, branch.glyph_gate), image)


def concat_references(references: Sequence[References]) -> References:
    """Several reference images of each sample, one after another."""
    return tuple(
        (ops.concat([k for k, _ in block], 2), ops.concat([v for _, v in block], 2))
        for block in zip(*references, strict=True)
    )


def prepend(reference: Tensor, x: Tensor) -> Tensor:
    """[B or 1, H, R, K] before [B, H, S, K]; a reference of batch 1 serves all samples."""
    shape = (x.shape[0], *reference.shape[1:])
    return ops.concat([ops.broadcast_to(reference, shape), x], 2)


def key_mask(
    glyph_mask: Tensor | None,
    image_tokens: int,
    reference_tokens: int,
    references_seen: Tensor | None = None,
) -> Tensor | None:
    """[B, 1, 1, R + T + N] bool: false at padded glyphs and at references that are not seen.

    None if no glyph mask is given.
    """
    if glyph_mask is None:
        return None
    b = glyph_mask.shape[0]
    references = ops.ones((b, reference_tokens), ops.bool_)
    image = ops.ones((b, image_tokens), ops.bool_)
    if references_seen is not None:
        references = ops.broadcast_to(references_seen[:, None], (b, reference_tokens))
    return ops.concat([references, glyph_mask, image], 1)[:, None, None]


def upsample_tokens(tokens_brc: Tensor) -> Tensor:
    """The semantic token of each image token: [B, rows, columns] → [B, N], N = 4·rows·columns."""
    twice = ops.repeat(ops.repeat(tokens_brc, PATCHES_PER_TOKEN, 1), PATCHES_PER_TOKEN, 2)
    return ops.reshape(twice, (twice.shape[0], -1))


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


def timestep_embedding(x: Tensor, size: int) -> Tensor:
    """[...] → [..., size]: cosines, then sines, at size/2 frequencies from 1 down to 1/THETA."""
    frequencies = np.exp(-math.log(THETA) * np.arange(size // 2) / (size // 2))
    angles = x[..., None] * ops.asarray(frequencies.astype(np.float32))
    return ops.concat([ops.cos(angles), ops.sin(angles)], -1)
