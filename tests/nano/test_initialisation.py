from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import networks
import numpy as np
import pytest
from stages import OBJECTIVES

from moyin.backend import autograd, nn, ops
from moyin.checkpoint.folder import Checkpoint
from moyin.dataset.dataset import Dataset
from moyin.models import rope
from moyin.models.config import GeneratorConfig, GlyphEncoderConfig
from moyin.nano.config import GlyphWhiteningConfig, OneWayHeadsConfig, RelativePositionHeadsConfig
from moyin.nano.initialisation import directed_bias, relative_position_heads, whiten_glyphs
from moyin.train.objectives.base import Source

SMALL = GeneratorConfig(
    vocab=400,
    vision_vocab=192,
    hidden=48,
    layers=3,
    heads=6,
    kv_heads=2,
    head_dim=16,
    ffn=80,
    theta=5.0,
    rotary_sections=(2, 3, 3),
    pad_id=399,
    image_id=398,
)


@pytest.fixture
def source(dataset: Path, small_checkpoint: Path) -> Source:
    return Source(Dataset.open(dataset), Checkpoint.open(small_checkpoint))


def test_relative_position_heads_attend_to_single_distances() -> None:
    """Of six heads in two groups the last three attend 1, 2, 3, then 4, 8, 12 tokens back."""
    model = SMALL.build()
    before = {n: np.array(ops.numpy(p)) for n, p in nn.named_parameters(model).items()}
    relative_position_heads(model, 3)
    tokens = ops.asarray(np.random.default_rng(0).integers(0, 390, (1, 20)))
    positions = ops.asarray(np.tile(np.arange(20), (3, 1, 1)))
    for number, distances in ((0, (1, 2, 3)), (1, (4, 8, 12))):
        attention = model.layers[number].attention
        x = model.layers[number].attention_norm(model.embedding(tokens))
        table = rope.table(positions, SMALL.rotary_sections, SMALL.theta, ops.float32)
        with autograd.no_grad():
            q, k = (
                ops.numpy(rope.rotate(_heads(project(x), count), *table))[0]
                for project, count in ((attention.q, 6), (attention.k, 2))
            )
        scores = q[3:, 19] @ k[1].T
        assert tuple(19 - scores.argmax(-1)) == distances
    for name, parameter in nn.named_parameters(model).items():
        alike = ops.numpy(parameter) == before[name]
        changed = ".attention.q." in name or ".attention.k." in name
        assert alike[: len(alike) // 2].all()
        assert alike.all() != changed


def _heads(x: ops.Tensor, heads: int) -> ops.Tensor:
    return ops.transpose(ops.reshape(x, (1, 20, heads, 16)), 1, 2)


def test_relative_position_heads_come_in_whole_groups() -> None:
    with pytest.raises(ValueError, match="3 heads share their keys"):
        relative_position_heads(SMALL.build(), 2)


def test_only_fresh_generators_are_initialised(source: Source) -> None:
    config = replace(OBJECTIVES["generator"], auxiliary=(RelativePositionHeadsConfig(heads=2),))
    bias = "layers.0.attention.k.bias"
    fresh = nn.named_parameters(config.build(source, None).network)
    assert ops.numpy(fresh[bias])[-8:].max() > 1
    start = networks.tiny("generator")
    before = np.array(ops.numpy(nn.named_parameters(start)[bias]))
    after = nn.named_parameters(config.build(source, start).network)
    np.testing.assert_array_equal(ops.numpy(after[bias]), before)


def test_one_way_heads() -> None:
    """Heads fall by 0.7, 0.02, 0.02, 0.2 and 0.07 per byte, the second ahead, the others back."""
    network = GlyphEncoderConfig(hidden=8, layers=1, heads=6, head_dim=4, ffn=8)
    config = replace(OBJECTIVES["glyph"], network=network, auxiliary=(OneWayHeadsConfig(),))
    model = config.build(Source(None, None), None).network
    bias = ops.numpy(model.distance_bias.weight)
    np.testing.assert_array_equal(bias, directed_bias(network))
    # Buckets 0 to 7 are the distances 0 to 7 back, 16 + 1 to 16 + 7 those ahead.
    falls, ahead = (0.7, 0.02, 0.02, 0.2, 0.07), (False, True, False, False, False)
    for head, (fall, forward) in enumerate(zip(falls, ahead, strict=True)):
        near, other = (
            bias[start + 1 : start + 8, head] for start in ((16, 0)[:: 1 if forward else -1])
        )
        np.testing.assert_allclose(near, -fall * np.arange(1, 8), rtol=1e-6)
        assert (other == -10).all()
    assert not bias[0].any()
    assert not bias[:, 5].any()


def test_whitened_glyph_states_vary_alike_in_all_directions() -> None:
    """Before the activation, strong and faint directions of the states vary as much."""
    random = np.random.default_rng(0)
    spread = np.geomspace(10, 0.3, 24)
    turned = np.linalg.qr(random.standard_normal((24, 24)))[0]
    states = (random.standard_normal((4000, 24)) * spread @ turned + 3).astype(np.float32)
    network = networks.CONFIGS["decoder"].build()
    whiten_glyphs(network, states)
    with autograd.no_grad():
        hidden = ops.numpy(network.glyphs.up(ops.asarray(states)))
        tokens = ops.numpy(network.glyphs.down(ops.gelu(ops.asarray(hidden))))
    half = network.config.dim // 2
    np.testing.assert_allclose(hidden[:, :half], -hidden[:, half:], atol=1e-3)
    deviations = hidden[:, :half].std(0)
    assert deviations.max() / deviations.min() < 3.5
    # A pair of hidden units lets its direction through unchanged: gelu(x) − gelu(−x) = x.
    through = ops.numpy(network.glyphs.down.weight)[:, :half]
    np.testing.assert_allclose(tokens, hidden[:, :half] @ through.T, atol=1e-2)


def test_a_fresh_decoder_is_whitened_where_it_is_asked_for(source: Source) -> None:
    plain = OBJECTIVES["decoder"]
    asked = replace(plain, auxiliary=(GlyphWhiteningConfig(),))
    for config, paired in ((plain, False), (asked, True)):
        up = ops.numpy(config.build(source, None).network.glyphs.up.weight)
        assert np.allclose(up[: len(up) // 2], -up[len(up) // 2 :]) == paired
