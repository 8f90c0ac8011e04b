"""How nano's fresh networks start. Nothing holds a parameter to its start in training."""

from __future__ import annotations

from typing import Any

import numpy as np

from moyin.backend import autograd, nn, ops
from moyin.models.decoder import Decoder
from moyin.models.generator import Generator
from moyin.models.glyph_encoder import GlyphEncoder, relative_buckets
from moyin.nano.codebook_layout import CodebookLayout
from moyin.train.objectives.base import Array, Source
from moyin.train.objectives.decoder import glyph_batch, image_strings

FALL = 4.0  # nats by which a relative-position head prefers its distance to the ones beside it
FAINT = 0.1  # scale of such a head's query and key weights
GLYPH_IMAGES = 1024  # whose strings' glyph states are whitened
FAINTEST = 0.02  # of the mean variance: fainter directions are not amplified further
GATES = (4, 5, 10, 11)  # of the twelve vectors of a block's modulation

# Direction (−1 back, 1 ahead) of the first heads of the glyph encoder, and by how much their bias
# falls per byte. Heads of one direction count the characters of a word; from a bias that is equal
# for both, 900 updates hardly found them, since Adam moves it by no more than the learning rate.
DIRECTIONS = ((-1, 0.7), (1, 0.02), (-1, 0.02), (-1, 0.2), (-1, 0.07))
BEHIND = -10.0  # bias of bytes in the other direction


def generator_codebook(network: Generator, layout: CodebookLayout, codes: int) -> None:
    """Start the tokens' rows of the generator's embedding and head with the layout's features."""
    width = network.config.hidden
    for rows, std in ((network.embedding.weight, 1.0), (network.head.weight, 0.03)):
        start = np.array(ops.numpy(rows))
        start[:codes] = layout.rows(codes, width, std)
        nn.set_parameter(rows, ops.asarray(start))


def decoder_codebook(network: Decoder, layout: CodebookLayout) -> None:
    """Start the decoder's embedding of the tokens with the layout's features."""
    rows = layout.rows(network.config.codes, network.config.dim, 1.0)
    nn.set_parameter(network.prior_embedding.weight, ops.asarray(rows))


def relative_position_heads(network: Generator, heads: int) -> None:
    """Let the last `heads` query heads of each layer start by attending to one distance each.

    n heads attend 1 to n tokens back in the first layer, these times n + 1 in the second, times
    (n + 1)² in the third, then as in the first again. So three layers see each of the last
    (n + 1)³ − 1 tokens, which counting takes. Biases of queries and keys do it; their weights
    start small there. ValueError unless the heads are whole groups that share their keys.
    """
    config = network.config
    group, pairs, dim = (
        config.heads // config.kv_heads,
        sum(config.rotary_sections),
        config.head_dim,
    )
    if heads % group or heads > config.heads:
        raise ValueError(f"heads={heads}: {group} heads share their keys, take a multiple")
    frequencies = config.theta ** -(np.arange(pairs) / pairs)
    size = np.sqrt(FALL * np.sqrt(dim) / np.sum(1 - np.cos(frequencies)))
    parameters = nn.named_parameters(network)
    for number in range(config.layers):
        far = np.arange(1, heads + 1) * (heads + 1) ** (number % 3)
        angles = far[:, None] * frequencies
        still = np.zeros((heads, dim - 2 * pairs))
        queries = size * np.concatenate([np.cos(angles), -np.sin(angles), still], 1)
        keys = size * np.repeat([[1.0, 0.0]], [pairs, dim - pairs], 1).repeat(heads // group, 0)
        for kind, biases in (("q", queries), ("k", keys)):
            linear = f"layers.{number}.attention.{kind}"
            bias, weight = (parameters[f"{linear}.{name}"] for name in ("bias", "weight"))
            before = ops.numpy(bias)[: -biases.size]
            after = np.concatenate([before, biases.reshape(-1)])
            scale = np.repeat([1.0, FAINT], [len(before), biases.size])[:, None]
            nn.set_parameter(bias, ops.asarray(after.astype(np.float32)))
            small = ops.numpy(weight) * scale
            nn.set_parameter(weight, ops.asarray(small.astype(np.float32)))


def one_way_heads(network: GlyphEncoder) -> None:
    """Let the first heads of a glyph encoder start by attending in one direction each."""
    bias = directed_bias(network.config)
    nn.set_parameter(network.distance_bias.weight, ops.asarray(bias))


def directed_bias(config: GlyphEncoder.Config) -> Array:
    """Bias [buckets, heads] float32 at each bucket's first distance; 0 for heads beyond
    DIRECTIONS."""
    number, half = np.arange(config.buckets), config.buckets // 2
    ahead, reach = number >= half, np.arange(config.max_distance + 1)
    back, forward = (
        np.searchsorted(relative_buckets(signed, config.buckets, config.max_distance), number)
        for signed in (-reach, reach)
    )
    distance = np.where(ahead, forward, back)
    heads = [
        np.where((ahead == (way > 0)) | (distance == 0), -fall * distance, BEHIND)
        for way, fall in DIRECTIONS[: config.heads]
    ]
    free = [np.zeros(config.buckets)] * (config.heads - len(heads))
    return np.asarray(np.stack(heads + free, 1), np.float32)


def dataset_glyph_states(source: Source) -> Array:
    """Glyph states [N, D] of the strings of the dataset's first images."""
    glyph = source.network("glyph")
    rows = source.images.read(["meta"], range(min(GLYPH_IMAGES, len(source.images))))
    strings = [image_strings(row["meta"]) for row in rows]
    parts = []
    for start in range(0, len(strings), 64):
        batch = glyph_batch(strings[start : start + 64])
        ids, mask = (ops.asarray(batch[name]) for name in ("glyph_ids", "glyph_mask"))
        with autograd.no_grad():
            states = ops.numpy(glyph(ids, mask, dtype=ops.float32))
        parts.append(states[batch["glyph_mask"]])
    return np.concatenate(parts)


def whiten_glyphs(network: Decoder, states_nd: Array) -> None:
    """Let a decoder start with glyph states of about equal variance in all directions.

    Most of a state's variance says which of its string a character is; what it looks like is in
    directions a hundred times fainter, which would be learned that much later. Hidden units come in
    pairs of opposite sign, which pass a direction through the activation unchanged.
    """
    up, down = network.glyphs.up, network.glyphs.down
    assert up.bias is not None
    middle = states_nd.mean(0)
    variances, directions = np.linalg.eigh(np.cov(states_nd - middle, rowvar=False))
    half = network.config.dim // 2
    largest = np.argsort(variances)[::-1][:half]
    scale = np.sqrt(variances[largest] + FAINTEST * variances.mean())
    one = np.zeros((half, states_nd.shape[1]))
    one[: len(largest)] = (directions[:, largest] / scale).T
    weights = np.array(ops.numpy(up.weight))
    weights[: 2 * half] = np.concatenate([one, -one])
    nn.set_parameter(up.weight, ops.asarray(weights.astype(np.float32)))
    nn.set_parameter(up.bias, ops.asarray((-weights @ middle).astype(np.float32)))
    mixed = np.array(ops.numpy(down.weight))
    mixed[:, half : 2 * half] = -mixed[:, :half]
    nn.set_parameter(down.weight, ops.asarray(mixed))


def open_gates(block: Any) -> None:
    """Let a decoder's fresh block add its branches to the streams at every time."""
    bias = np.array(ops.numpy(block.modulation.bias)).reshape(12, -1)
    bias[list(GATES)] = 1
    nn.set_parameter(block.modulation.bias, ops.asarray(bias.reshape(-1)))
