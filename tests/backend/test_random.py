"""One seed, one set of numbers: the host's against Philox's raw bits, the device's by moments."""

from __future__ import annotations

import hashlib
import math
from typing import Any

import numpy as np
import pytest

from moyin.backend import device, ops, random


def raw(count: int, seed: int, sample: int, stream: str) -> Any:
    """The bits that NumPy's Philox gives for the documented 128-bit key."""
    digest = hashlib.sha256(stream.encode()).digest()
    key = seed + (sample << 64) + (int.from_bytes(digest[:4], "little") << 96)
    return np.random.Philox(key=key).random_raw(count)


def test_uniforms_are_the_upper_bits_of_philox() -> None:
    bits = raw(6, 7, 3, "ids")
    expected = [min(int(b) // 2**11 / 2**53, 1 - 2**-24) for b in bits]
    found = random.uniform((2, 3), seed=7, sample=3, stream="ids")
    assert found.dtype == np.float32
    assert found.ravel().tolist() == np.float32(expected).tolist()


def test_normals_are_box_muller_over_philox() -> None:
    u = [(int(b) // 2**11 + 0.5) / 2**53 for b in raw(4, 7, 0, "noise")]
    radius = [math.sqrt(-2 * math.log(x)) for x in u[:2]]
    expected = [r * math.cos(2 * math.pi * x) for r, x in zip(radius, u[2:], strict=True)]
    expected += [radius[0] * math.sin(2 * math.pi * u[2])]
    found = random.normal((3,), seed=7, stream="noise")
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_normals_have_the_moments_of_the_normal_distribution() -> None:
    x = random.normal((200_001,), seed=1).astype(np.float64)
    for power, expected in ((1, 0), (2, 1), (3, 0), (4, 3), (6, 15)):
        spread = np.std(x**power) / math.sqrt(x.size)
        assert abs(np.mean(x**power) - expected) < 4 * spread
    assert abs(np.mean(x[:-1] * x[1:])) < 4 / math.sqrt(x.size)


def test_uniforms_fill_the_interval_evenly() -> None:
    x = random.uniform((200_000,), seed=2)
    counts, _ = np.histogram(x, bins=20, range=(0, 1))
    assert ((counts - 10_000) ** 2 / 10_000).sum() < 45  # χ², 19 degrees of freedom, p < 0.001
    assert x.min() >= 0
    assert x.max() < 1


@pytest.mark.parametrize("draw", [random.normal, random.uniform])
def test_samples_streams_and_seeds_are_apart(draw: Any) -> None:
    keys = [(0, 0, ""), (1, 0, ""), (0, 1, ""), (0, 0, "a"), (0, 0, "b"), (2**40, 0, "")]
    drawn = [tuple(draw((4,), *key).tolist()) for key in keys]
    assert len(set(drawn)) == len(keys)
    assert drawn[2] == tuple(draw((4,), 0, 1, "").tolist())


def test_a_sample_does_not_depend_on_how_much_is_drawn() -> None:
    assert (random.uniform((9,), 4)[:5] == random.uniform((5,), 4)).all()


@pytest.mark.parametrize(
    ("draw", "mean", "std"),
    [(random.device_normal, 0, 1), (random.device_uniform, 0.5, 12**-0.5)],
)
def test_the_device_draws_by_its_seed(draw: Any, mean: float, std: float) -> None:
    device.seed(11)
    first = ops.numpy(draw((100, 200)))
    device.seed(11)
    assert (ops.numpy(draw((100, 200))) == first).all()
    assert (ops.numpy(draw((100, 200))) != first).any()
    assert first.dtype == np.float32
    assert abs(first.mean() - mean) < 0.03
    assert abs(first.std() - std) < 0.03
