"""What is said about memory before loading, against what is there afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from moyin.backend import device, nn
from moyin.checkpoint.folder import Checkpoint
from moyin.checkpoint.load import Loading
from moyin.cli import doctor
from moyin.inference.memory import Need, Task, check, needs, peak
from moyin.inference.offload import Networks
from moyin.inference.pipeline import GlmImagePipeline
from moyin.prompt.grid import Grid

NANO = Path(__file__).parents[2] / "checkpoints" / "nano"
GRID = Grid(16, 16)


def held(network: Any) -> int:
    """Bytes of parameters and of packed integers with their scales."""
    tensors = [*nn.named_parameters(network).values(), *network.buffers()]
    return sum(t.numel() * t.element_size() for t in tensors)


@pytest.mark.parametrize("how", [{}, {"weights": "int8"}, {"weights": "int4"}, {"stored": True}])
@pytest.mark.parametrize("network", ["generator", "decoder", "autoencoder", "glyph"])
def test_weights_are_as_large_as_said(network: str, how: dict[str, Any]) -> None:
    loading = Loading(dtype="bfloat16", **how)
    checkpoint = Checkpoint.open(NANO, loading)
    found = needs(checkpoint, loading, Task(grid=GRID, steps=12))
    said = next(n for n in found if n.network == network)
    real = held(checkpoint.network(network))
    # Packing pads nano's odd widths; nothing else may differ.
    assert said.weights <= real <= (1.4 if "weights" in how else 1) * said.weights


def test_the_busiest_moment_by_hand() -> None:
    found = [Need("generator", 10**9, 10**8), Need("decoder", 2 * 10**9, 3 * 10**8)]
    assert peak(found, alone=False) == 450 * 10**6 + 3 * 10**9 + 3 * 10**8
    assert peak(found, alone=True) == 450 * 10**6 + 2 * 10**9 + 3 * 10**8
    check(found, False, 10**10)
    with pytest.raises(ValueError, match=r"takes 3\.8 GB .* 3\.0 GB are free.*--offload"):
        check(found, False, 3 * 10**9)


def test_larger_images_need_more() -> None:
    checkpoint, loading = Checkpoint.open(NANO), Loading(dtype="float32")
    small, large = (needs(checkpoint, loading, Task(grid=Grid(n, n), steps=12)) for n in (16, 32))
    assert all(
        a.work <= b.work and a.weights == b.weights for a, b in zip(small, large, strict=True)
    )
    assert peak(small, True) < peak(large, True)


def test_references_and_images_drawn_at_once_count() -> None:
    """At least what was measured on a CPU: 64x64 from three references of 1024x1024."""
    checkpoint, loading = Checkpoint.open(NANO), Loading(dtype="float32")

    def taken(references: int, images: int) -> int:
        grids = (Grid(32, 32),) * references
        task = Task(grid=Grid(2, 2), steps=1, references=grids, images=images)
        return peak(needs(checkpoint, loading, task), alone=False)

    assert 0.89e9 <= taken(3, 1) <= 1.2e9
    assert 2.29e9 <= taken(3, 4) <= 3.0e9
    assert taken(0, 1) < taken(0, 64) < taken(0, 256)
    once, twice = (
        needs(checkpoint, loading, Task(grid=GRID, steps=1, guided_ids=guided))[0]
        for guided in (False, True)
    )
    assert (once.network, twice.work) == ("generator", 2 * once.work)
    with pytest.raises(ValueError, match=r"4 images at once take .* fewer at once"):
        check([Need("decoder", 10**9, 0)], True, 10**9, images=4)


def test_ids_that_are_there_need_no_generator() -> None:
    checkpoint, loading = Checkpoint.open(NANO), Loading(dtype="float32")
    found = needs(checkpoint, loading, Task(grid=GRID, steps=1, painted_only=True))
    assert [need.network for need in found] == ["glyph", "decoder", "autoencoder"]


def test_too_little_memory_is_said_before_loading(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "free_memory", lambda: 10**8)
    monkeypatch.setattr(Networks, "get", lambda *_: pytest.fail("loaded"))
    pipeline = GlmImagePipeline.open(NANO)
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
