"""Images of several sizes: each batch holds those of one."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stages import OBJECTIVES

from moyin.backend import device
from moyin.dataset.dataset import Dataset
from moyin.dataset.sample import Sample
from moyin.train import Trainer, Training

Make = Callable[..., Training]
SIZES = ((512, 544), (544, 512))


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six images of noise, every second one upright."""
    folder = tmp_path_factory.mktemp("sizes") / "dataset"
    sizes = [SIZES[i % 2] for i in range(6)]
    dataset = Dataset.create(folder, {}, seed=0, count=len(sizes), digest="maker")
    random = np.random.default_rng(0)
    dataset.append(
        Sample(random.integers(0, 256, (*size, 3), np.uint8), (f'says "{i}"',), (), {}, (), 0, i)
        for i, size in enumerate(sizes)
    )
    dataset.add_column("bucket", "maker", [f"{w}x{h}" for h, w in sizes], "text")
    return folder


@pytest.mark.parametrize("stage", ["generator", "decoder"])
def test_a_mixture_of_sizes_trains(
    stage: str, mixed: Path, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "peak_flops", lambda dtype: 1e11)
    config: Any = OBJECTIVES[stage]
    if stage == "decoder":
        config = replace(config, crop=0)
    trainer = Trainer(make(stage, objective=config, data=str(mixed)))
    batch, seen = trainer.objective.batch, []

    def watched(indices: Any, sample_rng: Any) -> Any:
        rows = trainer.source.images.read(["tokens"], indices)
        (shape,) = {row["tokens"].shape for row in rows}
        seen.append(shape)
        return batch(indices, sample_rng)

    monkeypatch.setattr(trainer.objective, "batch", watched)
    trainer.run()
    assert set(seen) == {(h // 32, w // 32) for h, w in SIZES}
    rows = [json.loads(x) for x in (trainer.out / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 2, 3, 4]
    assert np.isfinite([row["loss"] for row in rows]).all()
