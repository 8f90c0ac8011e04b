"""What a dry run says, against the released sizes, sums by hand, and what PyTorch allocates."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from moyin.backend import NAME
from moyin.cli.app import main
from moyin.recipes import find
from moyin.train import Lora, Trainer, Training
from moyin.train.estimate import Mesh, estimate

pytestmark = pytest.mark.skipif(NAME != "torch", reason="only PyTorch walks without memory")

SMOKE = ("autoencoder", "glyph", "semantic", "generator", "decoder")


def most(trainer: Trainer, updates: int) -> int:
    """Bytes that PyTorch allocates in updates beside what is there before, at the fullest."""
    import torch

    batches = (trainer._batch(i) for i in range(99))
    trainer._update(batches)
    cpu = torch.profiler.ProfilerActivity.CPU
    with torch.profiler.profile(activities=[cpu], profile_memory=True) as profile:
        for _ in range(updates):
            trainer._update(batches)
    result: Any = profile.profiler
    found = [e for e in result.kineto_results.events() if e.name() == "[memory]"]
    now = top = 0
    for event in sorted(found, key=lambda e: e.start_ns()):
        now += event.nbytes()
        top = max(top, now)
    return top


@pytest.mark.parametrize("stage", SMOKE)
def test_memory_is_what_is_measured(
    stage: str, dataset: Path, small_checkpoint: Path, tmp_path: Path
) -> None:
    """Within 15 %, of the trainer's own updates. Strings are of other lengths than those reckoned
    with, and a glyph encoder's change from update to update."""
    small = find(f"smoke/{stage}")()
    training = replace(
        small,
        data=str(dataset),
        checkpoint=str(small_checkpoint),
        out=str(tmp_path),
        dtype="float32",
        batch=min(4, small.batch),
        accumulate=2,
        size=512,
        threads=1,
    )
    if stage == "generator":
        training = replace(training, objective=replace(training.objective, preview_probability=1.0))
    found = estimate(training, Mesh.parse("1xCPU"))
    measured = most(Trainer(training), 12 if stage == "glyph" else 1)
    assert found.fullest == pytest.approx(measured, rel=0.15)
    assert found.memory == found.fullest + found.weights + found.optimizer + found.average


def few(stage: str, **changes: Any) -> Training:
    """GLM-Image's stage with three layers."""
    whole = find(f"glm-image/{stage}")()
    network = replace(whole.objective.network, layers=3)
    return replace(whole, objective=replace(whole.objective, network=network), **changes)


def test_glm_images_decoder_over_devices_by_hand() -> None:
    """Twenty bytes a parameter, shared out; 256 samples, four on each of 64."""
    one, many = (estimate(few("decoder"), Mesh.parse(f"{n}xAscend910B")) for n in (8, 64))
    # Three of 30 blocks of 12 · 4096² and 12 · 4096 · 512; ids, patches, glyphs, time and size.
    block = 12 * 4096**2 + 12 * 4096 * 512
    ends = (16384 + 4096 + 4096 + 1472 + 4096 + 64 + 64 + 1024) * 4096 + (512 * 3 + 1024) * 512
    assert one.trained == pytest.approx(3 * block + ends, rel=0.001)
    assert (many.micro, many.accumulate, one.micro * one.accumulate) == (4, 1, 32)
    sixteen = many.optimizer + many.average + many.gradients
    assert sixteen == pytest.approx(16 * many.trained / 64)
    assert one.optimizer + one.average + one.gradients == pytest.approx(20 * one.trained / 8)
    # The weights twice, in bf16 if they are a block's, and the gradients once in float32, but for
    # a device's own part.
    moved = 3 * block * (2 + 2 + 4) + ends * (4 + 4 + 4)
    assert many.communication == pytest.approx(moved * 63 / 64, rel=0.001)
    # 8 operations a weight and token, for blocks are computed twice, of 4096 tokens and 24 glyphs
    # (16 and a mark, in eights). In each of 3 blocks 2 products of attention forward, twice, and 5
    # backward.
    dense = (8 * 3 * 12 * 4120 + 6 * (2 * 4096 + 128) * 4096 / 4096) * 4096**2 * 4
    attention = 3 * 9 * 2 * 4120**2 * 4096 * 4
    assert many.flops == pytest.approx(dense + attention, rel=0.01)
    assert many.arithmetic_s == pytest.approx(many.flops / (0.4 * 313e12))
    assert one.communication_s == pytest.approx(one.communication / 196e9)  # within one machine
    assert many.communication_s == pytest.approx(many.communication / 25e9)


def test_a_lora_trains_little_and_computes_blocks_again(
    dataset: Path, small_checkpoint: Path, tmp_path: Path
) -> None:
    """Of each block only its arguments are kept, and casts of frozen weights nowhere."""
    training = replace(
        find("lora/decoder")(),
        data=str(dataset),
        checkpoint=str(small_checkpoint),
        out=str(tmp_path),
        lora=Lora(rank=2),
        size=512,
        threads=1,
        dtype="bfloat16",
        recompute=True,
    )
    found = estimate(training, Mesh.parse("1xA100"))
    # Two blocks of width 32: four layers of 32 x 32, one of 32 x 128, one of 128 x 32.
    assert found.trained == 2 * 2 * (4 * (32 + 32) + 2 * (32 + 128))
    assert found.frozen > 10 * found.trained
    assert found.weights < 4 * (found.trained + found.frozen)  # the decoder's in bf16
    kept = estimate(replace(training, recompute=False), Mesh.parse("1xA100"))
    assert kept.flops < found.flops < 4 / 3 * kept.flops
    assert found.activations < 0.8 * kept.activations


def test_on_the_command_line(capsys: pytest.CaptureFixture[str], small_checkpoint: Path) -> None:
    command = ["train", "smoke/decoder", "size=512", f"checkpoint={small_checkpoint}", "--dry-run"]
    assert main([*command, "mesh=8xH100"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("8 × H100, each:")
    assert "batch=8 accumulate=1" in out
    for mesh, told in (
        ("8Ascend910B", "write how many of what, such as 64xAscend910B"),
        ("4xTPU", "known are 1xCPU, and any number of Ascend910B"),
        ("2xCPU", "known are 1xCPU"),
        ("7xH100", "cannot be shared out over 7 devices"),
    ):
        assert main([*command, f"mesh={mesh}"]) == 2
        assert told in capsys.readouterr().err
