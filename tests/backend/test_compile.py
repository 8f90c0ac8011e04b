"""What is compiled computes what it did before."""

from __future__ import annotations

from typing import Any

import networks
import numpy as np
import pytest

from moyin.backend import autograd, nn, ops


def gradients(compiled: bool) -> tuple[float, Any]:
    """Loss and all gradients, in a row, of a small decoder at two numbers of glyph tokens."""
    decoder = networks.tiny("decoder")
    if compiled:
        nn.compile_blocks(decoder.blocks)

    def loss(latents: Any, glyphs: Any, tokens: Any) -> tuple[Any, None]:
        b = latents.shape[0]
        mask = ops.asarray(np.arange(b * glyphs.shape[1]).reshape(b, -1) % 3 > 0)
        drop, time = ops.asarray(np.arange(b) == 1), ops.asarray(np.full(b, 300.0, np.float32))
        sizes = ops.asarray(np.full((b, 2), 64.0, np.float32))
        said = networks.velocity(
            decoder,
            latents,
            time,
            sizes,
            sizes,
            glyphs=glyphs,
            glyph_mask=mask,
            tokens=tokens,
            tokens_dropped=drop,
        )
        return ops.mean(ops.square(said - 1)), None

    gradient = autograd.value_and_grad(loss, decoder)
    total, parts = 0.0, []
    for length in (5, 7):
        rng = np.random.default_rng(length)
        latents = rng.normal(size=(3, 16, 8, 8)).astype(np.float32)
        glyphs = rng.normal(size=(3, length, 24)).astype(np.float32)
        tokens = rng.integers(0, networks.CODES, (3, 16))
        value, _, found = gradient(*map(ops.asarray, (latents, glyphs, tokens)))
        total += float(ops.numpy(value))
        parts += [ops.numpy(g).reshape(-1) for g in found.values()]
    return total, np.concatenate(parts).astype(np.float64)


@pytest.mark.slow
def test_compiled_gradients_equal_eager_ones() -> None:
    (eager, one), (compiled, two) = gradients(False), gradients(True)
    assert compiled == pytest.approx(eager, rel=1e-5)
    assert one @ two / np.linalg.norm(one) / np.linalg.norm(two) > 0.9999
    assert np.linalg.norm(two) == pytest.approx(np.linalg.norm(one), rel=1e-4)
