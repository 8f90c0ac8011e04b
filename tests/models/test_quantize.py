"""Packed layers against the weights that they stand for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from networks import tiny

from moyin.backend import autograd, device, nn, ops
from moyin.models.quantization import pack, packable, unpack


def weight(outputs: int, inputs: int) -> np.ndarray:
    rng = np.random.default_rng(outputs)
    return (rng.normal(size=(outputs, inputs)) / inputs**0.5 + 0.01).astype(np.float32)


@pytest.mark.parametrize(("outputs", "inputs"), [(64, 128), (300, 200), (5, 1000)])
def test_four_bits_err_by_half_a_step(outputs: int, inputs: int) -> None:
    given = weight(outputs, inputs)
    packed = pack(ops.asarray(given), 4)
    found = ops.numpy(unpack(packed))
    values = ops.numpy(packed.values)
    assert values.min() >= -8
    assert values.max() <= 7
    for first in range(0, inputs, 128):
        group = np.pad(given, ((0, 0), (0, -inputs % 128)))[:, first : first + 128]
        step = (group.max(1) - group.min(1)) / 15
        apart = np.abs(found - given)[:, first : first + 128].max(1)
        # Half a step, and what rounding scale and zero to bf16 costs at the ends.
        assert (apart <= 0.5 * step + 0.01 * np.abs(group).max(1) + 1e-9).all()


@pytest.mark.parametrize(("outputs", "inputs"), [(64, 128), (300, 200)])
def test_eight_bits_err_by_half_a_step(outputs: int, inputs: int) -> None:
    given = weight(outputs, inputs)
    packed = pack(ops.asarray(given), 8)
    assert packed.zeros is None
    step = np.abs(given).max(1, keepdims=True) / 127
    assert (np.abs(ops.numpy(unpack(packed)) - given) <= 0.51 * step + 1e-9).all()


def test_by_hand() -> None:
    """Sixteen levels from 0 to 15: every weight is one of them."""
    given = np.tile(np.arange(16, dtype=np.float32), 8)[None]
    packed = pack(ops.asarray(given), 4)
    np.testing.assert_array_equal(ops.numpy(packed.values), given - 8)
    assert ops.numpy(packed.scales).item() == 1
    assert ops.numpy(packed.zeros).item() == 8
    eight = pack(ops.asarray(np.array([[-254.0, 0.0, 2.0]], np.float32)), 8)
    np.testing.assert_array_equal(ops.numpy(eight.values), [[-127, 0, 1]])


def test_a_channel_of_zeros() -> None:
    for bits in (4, 8):
        found = ops.numpy(unpack(pack(ops.zeros((3, 128)), bits)))
        np.testing.assert_array_equal(found, np.zeros((3, 128)))


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize(("outputs", "inputs"), [(64, 128), (300, 200), (192, 512)])
@pytest.mark.parametrize("shape", [(1,), (1, 1), (3, 2), (2, 40)])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_layer_multiplies_by_them(
    bits: int, outputs: int, inputs: int, shape: tuple[int, ...], dtype: str
) -> None:
    """Few rows and many go different ways."""
    if dtype == "bfloat16" and not device.supports_bfloat16():
        pytest.skip("no bf16 here")
    rng = np.random.default_rng(1)
    x = ops.asarray(rng.normal(size=(*shape, inputs)).astype(np.float32), getattr(ops, dtype))
    bias = ops.asarray(rng.normal(size=outputs).astype(np.float32))
    packed = pack(ops.asarray(weight(outputs, inputs)), bits)
    expected = ops.numpy(x) @ ops.numpy(unpack(packed)).T + ops.numpy(bias)
    with autograd.no_grad():
        found = packed.layer(bias)(x)
    assert tuple(found.shape) == (*shape, outputs)
    assert found.dtype == x.dtype
    off = 2e-5 if dtype == "float32" else 2e-2
    np.testing.assert_allclose(
        ops.numpy(ops.cast(found, ops.float32)), expected, atol=off * np.abs(expected).max()
    )


@pytest.mark.parametrize(
    ("network", "layers"),
    [("generator", ["q", "k", "v", "out", "gate_up", "down"]), ("decoder", [])],
)
def test_what_is_packed(network: str, layers: list[str]) -> None:
    found = packable(tiny(network))
    kinds = {name.rpartition(".")[2] for name in found}
    assert kinds == set(layers or ["q", "k", "v", "out", "up", "down"])
    assert len(found) == 2 * len(kinds)
    for name in found:
        layer: Any = nn.submodule(tiny(network), name)
        assert isinstance(layer, nn.Linear)
