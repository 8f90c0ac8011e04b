"""`NumpyDecodeStep` against `DecodeStep`, which is the reference."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from networks import CONFIGS

from moyin.backend import autograd, device, nn, ops
from moyin.inference.decode_step import DecodeStep
from moyin.inference.numpy_generator import NumpyDecodeStep
from moyin.models.generator import Generator, LayerCache

CONFIG: Generator.Config = replace(CONFIGS["generator"], rotary_sections=(1, 1, 1))
ROOM = 6


def drawn(config: Generator.Config, dtype: Any = ops.float32) -> Generator:
    """Every weight random, in this dtype."""
    generator = config.build()
    rng = np.random.default_rng(0)
    for parameter in nn.named_parameters(generator).values():
        values = rng.normal(size=parameter.shape) / max(parameter.shape[-1], 9) ** 0.5
        nn.set_parameter(parameter, ops.asarray(values.astype(np.float32)))
    weights = {n: ops.cast(p, dtype) for n, p in nn.named_parameters(generator).items()}
    nn.assign(generator, weights)
    return generator


def logits(
    generator: Generator, batch: int, masked: bool, dtype: Any, at_once: int = 1
) -> list[list[np.ndarray]]:
    """The logits [b, n, v] of both at every step."""
    rng = np.random.default_rng(batch)
    prefix = rng.integers(0, 390, (batch, 9))
    positions = np.sort(rng.integers(0, 40, (3, batch, 9 + ROOM)), axis=2)
    real = np.ones((batch, 9 + ROOM), bool)
    real[0, :4] = False
    mask = ops.asarray(real) if masked else None
    ahead = ops.asarray(positions[:, :, 9:])
    with autograd.no_grad():
        cache = generator.new_cache(batch, 9 + ROOM, dtype)
        generator.step(ops.asarray(prefix), ops.asarray(positions[:, :, :9]), cache, 0, mask)
        copies = [LayerCache(c.keys + 0, c.values + 0) for c in cache]
        host = NumpyDecodeStep(generator, copies, ahead, mask, dtype)
        walk = DecodeStep(generator, cache, ahead, mask, dtype)
        found = []
        for n in range(0, ROOM, at_once):
            ids = rng.integers(0, 390, (batch, at_once))
            expected = ops.numpy(ops.cast(walk.step(ops.asarray(ids), n, 9 + n), ops.float32))
            found.append([host.step(ids, n, 9 + n), expected])
    return found


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("hidden", [32, 1040])
def test_logits_are_equal(batch: int, masked: bool, hidden: int) -> None:
    """Small layers are copied for NumPy, large ones read where they are."""
    generator = drawn(replace(CONFIG, hidden=hidden, layers=2))
    for ours, expected in logits(generator, batch, masked, ops.float32):
        assert ours.shape == (batch, 1, generator.config.vision_vocab)
        np.testing.assert_allclose(ours, expected, atol=2e-5 * np.abs(expected).max())


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("masked", [False, True])
def test_several_ids_at_once(batch: int, masked: bool) -> None:
    """Against the reference at once, and against the same ids one by one."""
    generator = drawn(CONFIG)
    found = logits(generator, batch, masked, ops.float32, at_once=3)
    for ours, expected in found:
        assert ours.shape == (batch, 3, generator.config.vision_vocab)
        np.testing.assert_allclose(ours, expected, atol=2e-5 * np.abs(expected).max())
    if batch == 1:  # the same draws of ids then
        single = logits(generator, 1, masked, ops.float32)
        together = np.concatenate([ours for ours, _ in found], 1)
        apart = np.concatenate([ours for ours, _ in single], 1)
        np.testing.assert_allclose(together, apart, atol=2e-5 * np.abs(apart).max())


@pytest.mark.skipif(not device.supports_bfloat16(), reason="no bf16 here")
@pytest.mark.parametrize("hidden", [32, 1040])
def test_bfloat16_weights(hidden: int) -> None:
    """The reference rounds after every operation, the walk only where it multiplies."""
    generator = drawn(replace(CONFIG, hidden=hidden, layers=2), ops.bfloat16)
    for ours, expected in logits(generator, 2, True, ops.bfloat16):
        np.testing.assert_allclose(ours, expected, atol=0.05 * np.abs(expected).max())


def test_runs_that_share_their_ids() -> None:
    generator = drawn(CONFIG)
    ahead = ops.asarray(np.arange(3 * 4 * 2).reshape(3, 4, 2) % 7)
    with autograd.no_grad():
        walks: list[Any] = [
            make(generator, generator.new_cache(4, 2), ahead, None, ops.float32)
            for make in (NumpyDecodeStep, DecodeStep)
        ]
        ids = np.array([[5], [9]])
        two = walks[0].step(ids, 0, 0)
        four = ops.numpy(walks[1].step(ops.asarray(ids), 0, 0))
    np.testing.assert_allclose(two, four, atol=1e-4)


def test_a_gate_far_below_zero_is_no_fault() -> None:
    generator = drawn(CONFIG)
    for layer in list[Any](generator.layers):
        nn.set_parameter(layer.mlp.gate_up.weight, layer.mlp.gate_up.weight * 1e4)
    for ours, expected in logits(generator, 1, False, ops.float32):
        assert np.isfinite(ours).all()
        np.testing.assert_allclose(ours, expected, atol=1e-3 * np.abs(expected).max())
