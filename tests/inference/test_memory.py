"""Estimated memory, against what the loaded networks hold and what was measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from moyin.backend import device, nn
from moyin.checkpoint.folder import Checkpoint
from moyin.checkpoint.load import Loading
from moyin.cli import doctor
from moyin.inference.memory import WORK, MemoryEstimate, Workload, check, estimate_memory, peak
from moyin.inference.pipeline import GlmImagePipeline
from moyin.models.config import AutoencoderConfig, DecoderConfig, GeneratorConfig
from moyin.prompt.grid import Grid

NANO = Path(__file__).parents[2] / "checkpoints" / "nano"
GRID = Grid(16, 16)


def held(network: Any) -> int:
    """Bytes of parameters and of packed integers with their scales."""
    tensors = [*nn.named_parameters(network).values(), *network.buffers()]
    return sum(t.numel() * t.element_size() for t in tensors)


@pytest.mark.parametrize(
    "how", [{}, {"quantization": "int8"}, {"quantization": "int4"}, {"lazy": True}]
)
@pytest.mark.parametrize("network", ["generator", "decoder", "autoencoder", "glyph"])
def test_weights_are_as_large_as_said(network: str, how: dict[str, Any]) -> None:
    loading = Loading(dtype="bfloat16", **how)
    checkpoint = Checkpoint.open(NANO, loading)
    found = estimate_memory(checkpoint, loading, Workload(grid=GRID, steps=12))
    said = next(n for n in found if n.network == network)
    real = held(checkpoint.network(network))
    # Packing pads nano's odd widths; nothing else may differ.
    assert said.weights <= real <= (1.4 if "quantization" in how else 1) * said.weights


def test_the_busiest_moment_by_hand() -> None:
    found = [
        MemoryEstimate("generator", 10**9, 10**8),
        MemoryEstimate("decoder", 2 * 10**9, 3 * 10**8),
    ]
    assert peak(found, offload=False) == 450 * 10**6 + 3 * 10**9 + 3 * 10**8
    assert peak(found, offload=True) == 450 * 10**6 + 2 * 10**9 + 3 * 10**8
    check(found, False, 10**10)
    with pytest.raises(ValueError, match=r"takes 3\.8 GB .* 3\.0 GB are free.*offloading"):
        check(found, False, 3 * 10**9)


def test_work_by_hand() -> None:
    """32x32 tokens, 4 steps, in float32: the formulas with the numbers written out."""
    workload = Workload(grid=Grid(32, 32), steps=4)
    generator = GeneratorConfig(layers=2, kv_heads=2, head_dim=8, ffn=48, rotary_sections=(1, 1, 0))
    cache = 2 * 2 * 2 * 8 * (256 + 2 * 1024)
    assert WORK["generator"](generator, workload, 4) == 8 * cache + 4 * 256 * 48 * 4
    decoder = DecoderConfig(layers=2, heads=2, head_dim=16)
    tokens = 14 * (4 * 1024 + 64) + 8 * 1024
    assert WORK["decoder"](decoder, workload, 4) == 4 * (tokens * 32 + 12 * 2 * 32 * 4)
    autoencoder = AutoencoderConfig(block_channels=(32, 64, 64, 64))
    assert WORK["autoencoder"](autoencoder, workload, 4) == 5 * 1024 * 1024 * 64 * 4


def test_larger_images_need_more() -> None:
    checkpoint, loading = Checkpoint.open(NANO), Loading(dtype="float32")
    small, large = (
        estimate_memory(checkpoint, loading, Workload(grid=Grid(n, n), steps=12)) for n in (16, 32)
    )
    assert [a.weights for a in small] == [b.weights for b in large]
    grown = [a.network for a, b in zip(small, large, strict=True) if a.work < b.work]
    assert grown == ["generator", "decoder", "autoencoder"]
    assert peak(small, True) < peak(large, True)


def test_references_and_images_drawn_at_once_count() -> None:
    """At least what was measured on a CPU: 64x64 from three references of 1024x1024."""
    checkpoint, loading = Checkpoint.open(NANO), Loading(dtype="float32")

    def taken(references: int, images: int) -> int:
        grids = (Grid(32, 32),) * references
        task = Workload(grid=Grid(2, 2), steps=1, references=grids, images=images)
        return peak(estimate_memory(checkpoint, loading, task), offload=False)

    assert 0.89e9 <= taken(3, 1) <= 1.2e9
    assert 2.29e9 <= taken(3, 4) <= 3.0e9
    assert taken(0, 1) < taken(0, 64) < taken(0, 256)
    once, twice = (
        estimate_memory(checkpoint, loading, Workload(grid=GRID, steps=1, token_guidance=guided))[0]
        for guided in (False, True)
    )
    assert (once.network, twice.work) == ("generator", 2 * once.work)
    with pytest.raises(ValueError, match=r"4 images at once take .* fewer at once"):
        check([MemoryEstimate("decoder", 10**9, 0)], True, 10**9, images=4)


def test_ids_that_are_there_need_no_generator() -> None:
    checkpoint, loading = Checkpoint.open(NANO), Loading(dtype="float32")
    found = estimate_memory(checkpoint, loading, Workload(grid=GRID, steps=1, decoding_only=True))
    assert [need.network for need in found] == ["glyph", "decoder", "autoencoder"]


def test_too_little_memory_is_said_before_loading(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "free_memory", lambda: 10**8)
    monkeypatch.setattr(Checkpoint, "network", lambda *_: pytest.fail("loaded"))
    pipeline = GlmImagePipeline.from_pretrained(NANO)
    with pytest.raises(ValueError, match="GB of memory"):
        pipeline.check_memory(pipeline.defaults)


def test_doctor_says_what_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "free_memory", lambda: 600 * 10**6)
    found = {f.subject: f for f in doctor.memory(str(NANO), None)}
    assert not found["--dtype float32"].good
    assert found["--quantization int4 --offload"].good
    assert set(doctor.WAYS) <= found.keys()
    with pytest.raises(ValueError, match="/nowhere/at/all"):
        list(doctor.memory("/nowhere/at/all", None))
