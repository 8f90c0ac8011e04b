"""Images by packed weights and with one network in memory at a time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from moyin.backend import device
from moyin.inference.offload import Networks
from moyin.inference.pipeline import GlmImagePipeline

PROMPT = "a red poster that says “春天”"


def drawn(folder: Path, **how: Any) -> list[np.ndarray]:
    pipeline = GlmImagePipeline.open(folder, **how)
    settings = replace(pipeline.defaults, height=64, width=64, steps=2)
    return [p.pixels for p in pipeline.generate(PROMPT, settings, seed=3, n=2)]


def test_one_network_at_a_time_sample_rng_the_same(
    small_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[set[str]] = []
    get = Networks.get

    def watched(self: Networks, name: str) -> Any:
        found = get(self, name)
        held.append(set(self._loaded))
        return found

    monkeypatch.setattr(Networks, "get", watched)
    alone = drawn(small_checkpoint, offload=True)
    assert {len(some) for some in held} == {1}
    names = [next(iter(some)) for some in held]
    visits = [a for a, b in zip(names, [*names[1:], ""], strict=True) if a != b]
    assert visits == ["generator", "glyph", "decoder", "autoencoder"]
    for one, other in zip(alone, drawn(small_checkpoint), strict=True):
        np.testing.assert_allclose(one.astype(int), other.astype(int), atol=1)


def test_editing_with_one_network_at_a_time(small_checkpoint: Path) -> None:
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (512, 512, 3), dtype=np.uint8) for _ in range(2)]
    found = []
    for offload in (False, True):
        pipeline = GlmImagePipeline.open(small_checkpoint, offload=offload)
        settings = replace(pipeline.defaults, height=64, width=64, steps=2)
        found.append(next(pipeline.edit(PROMPT, images, settings)).pixels.astype(int))
    np.testing.assert_allclose(found[0], found[1], atol=1)


@pytest.mark.parametrize("weights", ["int8", "int4"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_packed_weights(small_checkpoint: Path, weights: str, dtype: str) -> None:
    """Twice the same bits; another image than with plain weights."""
    if dtype == "bfloat16" and not device.supports_bfloat16():
        pytest.skip("no bf16 here")
    first, second = (drawn(small_checkpoint, weights=weights, dtype=dtype) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert (np.stack(first) != np.stack(drawn(small_checkpoint, dtype=dtype))).any()


def test_the_image_says_how_its_weights_were(small_checkpoint: Path) -> None:
    pipeline = GlmImagePipeline.open(small_checkpoint, weights="int8")
    settings = replace(pipeline.defaults, height=64, width=64, steps=1)
    assert next(pipeline.generate(PROMPT, settings)).facts["weights"] == "int8"
