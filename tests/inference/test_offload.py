"""Images by packed weights and with one network in memory at a time."""

from __future__ import annotations

import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from generating import generated

from moyin.backend import device
from moyin.checkpoint.folder import Checkpoint
from moyin.checkpoint.load import Loading
from moyin.inference.offload import Networks
from moyin.inference.pipeline import GlmImagePipeline

# Mean difference of 255 levels, in which tokens that flip dominate.
PACKING_ERROR = {"int8": 8, "int4": 30}
PROMPT = "a red poster that says “春天”"


def drawn(folder: Path, **how: Any) -> list[np.ndarray]:
    pipeline = GlmImagePipeline.from_pretrained(folder, **how)
    settings = replace(pipeline.defaults, height=64, width=64, steps=2)
    return [p.pixels for p in generated(pipeline, PROMPT, settings, seed=3, count=2)]


def test_one_network_is_alive_at_a_time(small_checkpoint: Path) -> None:
    """Each is freed before the next one is loaded, and loaded once for all images."""
    alive: list[weakref.ref[Any]] = []
    visits: list[str] = []
    checkpoint = Checkpoint.open(small_checkpoint, Loading(dtype="float32", lazy=True))
    load = checkpoint.network

    def watched(name: str) -> Any:
        assert all(network() is None for network in alive)
        network = load(name)
        visits.append(name)
        alive.append(weakref.ref(network))
        return network

    checkpoint.network = watched  # type: ignore[method-assign]
    pipeline = GlmImagePipeline(Networks(checkpoint, offload=True), "float32")
    settings = pipeline.defaults.replace(height=64, width=64, steps=2)
    offloaded = generated(pipeline, PROMPT, settings, seed=3, count=2)
    assert visits == ["generator", "glyph", "decoder", "autoencoder"]
    for one, other in zip(offloaded, drawn(small_checkpoint), strict=True):
        np.testing.assert_allclose(one.pixels.astype(int), other.astype(int), atol=1)


def test_editing_with_one_network_at_a_time(small_checkpoint: Path) -> None:
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (512, 512, 3), dtype=np.uint8) for _ in range(2)]
    found = []
    for offload in (False, True):
        pipeline = GlmImagePipeline.from_pretrained(small_checkpoint, offload=offload)
        settings = replace(pipeline.defaults, height=64, width=64, steps=2)
        (image,) = generated(pipeline, PROMPT, settings, images=images)
        found.append(image.pixels.astype(int))
    np.testing.assert_allclose(found[0], found[1], atol=1)


@pytest.mark.parametrize("quantization", ["int8", "int4"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_packed_weights(small_checkpoint: Path, quantization: str, dtype: str) -> None:
    """Twice the same bits, near the image of unpacked weights and not equal to it."""
    if dtype == "bfloat16" and not device.supports_bfloat16():
        pytest.skip("no bf16 here")
    first, second = (
        drawn(small_checkpoint, quantization=quantization, dtype=dtype) for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)
    plain = np.stack(drawn(small_checkpoint, dtype=dtype)).astype(int)
    difference = np.abs(np.stack(first) - plain)
    assert 0 < difference.mean() < PACKING_ERROR[quantization]


def test_metadata_names_the_quantization(small_checkpoint: Path) -> None:
    pipeline = GlmImagePipeline.from_pretrained(small_checkpoint, quantization="int8")
    settings = replace(pipeline.defaults, height=64, width=64, steps=1)
    assert generated(pipeline, PROMPT, settings)[0].metadata["quantization"] == "int8"
