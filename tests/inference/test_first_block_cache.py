from typing import Any

import networks
import numpy as np
import pytest

from moyin.backend import autograd, ops
from moyin.inference.first_block_cache import FirstBlockCache
from moyin.models.decoder import Decoder, DecoderInputs


def stream(*values: float) -> Any:
    """[B, 2, 1]: each sample's tokens are its value and minus it."""
    return ops.asarray([[[v], [-v]] for v in values], ops.float32)


class Later:
    """In place of the later blocks: adds `part` to the first block's result; counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, cache: FirstBlockCache, start: Any, first: Any, part: float) -> Any:
        def later() -> Any:
            self.calls += 1
            return first + part

        return ops.numpy(cache.last(start, first, later))


def test_reuse_by_hand() -> None:
    """The first block added 1 at the full step: 1.1 is 10 % away, 1.3 is 30 %."""
    cache, later = FirstBlockCache(0.2), Later()
    np.testing.assert_array_equal(later(cache, stream(3), stream(4), 5.0), ops.numpy(stream(4)) + 5)
    near = later(cache, stream(6), stream(7.1), -1.0)
    np.testing.assert_allclose(near, ops.numpy(stream(7.1)) + 5, rtol=1e-6)
    assert later.calls == 1
    # Held against the last full step, not against the last one.
    far = later(cache, stream(6), stream(7.3), -1.0)
    np.testing.assert_allclose(far, ops.numpy(stream(7.3)) - 1, rtol=1e-6)
    assert later.calls == 2
    later(cache, stream(6), stream(7.4), 9.0)
    assert later.calls == 2


def test_one_sample_that_changes_is_enough() -> None:
    cache, later = FirstBlockCache(0.2), Later()
    later(cache, stream(0, 0), stream(1, 10), 5.0)
    later(cache, stream(0, 0), stream(1.1, 11), 5.0)
    assert later.calls == 1
    later(cache, stream(0, 0), stream(1.3, 10), 5.0)
    assert later.calls == 2


@pytest.mark.parametrize("threshold", [0.0, 0.5])
def test_a_first_block_that_adds_nothing_is_no_sign(threshold: float) -> None:
    cache, later = FirstBlockCache(threshold), Later()
    for calls in (1, 2):
        later(cache, stream(1), stream(1), 5.0)
        assert later.calls == calls


def test_threshold_zero_changes_no_bit() -> None:
    network: Decoder = networks.tiny("decoder")
    rng = np.random.default_rng(0)
    glyphs = ops.asarray(rng.standard_normal((2, 5, 24)), ops.float32)
    tokens = ops.asarray(rng.integers(0, networks.CODES, (2, 16)))
    cache = FirstBlockCache(0.0)
    inputs = DecoderInputs(
        glyphs=glyphs,
        glyph_mask=None,
        tokens=tokens,
        tokens_dropped=ops.asarray([False, True]),
        height=8,
        width=8,
    )
    with autograd.no_grad():
        conditioning = network.conditioning(inputs, ops.float32)
        for time in (999.0, 500.0, 500.0):
            latents = ops.asarray(rng.standard_normal((2, 16, 8, 8)), ops.float32)
            sizes, crop = ops.full((1, 2), 64.0), ops.zeros((1, 2))
            modulation = network.modulation(ops.full((1,), time), sizes, crop, ops.float32)
            full = network(latents, conditioning, modulation)
            cached = cache.velocity(network, latents, conditioning, modulation)
            np.testing.assert_array_equal(ops.numpy(full), ops.numpy(cached))
