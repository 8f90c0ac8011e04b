from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import stages

from moyin.dataset.dataset import Dataset
from moyin.render.edits import EditRenderer
from moyin.train import Training

Make = Callable[..., Training]


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few images; stages add the columns that they need."""
    return stages.dataset(tmp_path_factory.mktemp("dataset") / "small")


@pytest.fixture
def own_dataset(dataset: Path, tmp_path: Path) -> Path:
    """A copy of `dataset` without columns, for those that others would find stale."""
    copy = Dataset.open(shutil.copytree(dataset, tmp_path / "dataset"))
    for name in set(copy.columns) - {"image", "meta"}:
        copy.drop_column(name)
    return copy.path


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two images with one line each that are no edits, and after each of them one that is."""
    config = EditRenderer.Config(
        characters=10, fonts=("NotoSansSC-Bold",), prominent=1.0, object_share=0.0
    )
    render_one = config.build()
    samples = [render_one(0, i) for i in range(4)]
    folder = tmp_path_factory.mktemp("pairs") / "dataset"
    dataset = Dataset.create(folder, {}, seed=0, count=4, digest="0" * 64)
    dataset.append(replace(s, edit=s.edit if s.index % 2 else None) for s in samples)
    return folder


@pytest.fixture
def make(tmp_path: Path, dataset: Path, small_checkpoint: Path) -> Make:
    """A small training of a stage, in a folder of its own."""

    def training(stage: str, name: str = "run", **changes: Any) -> Training:
        small = stages.training(stage, tmp_path / name, dataset, small_checkpoint)
        return replace(small, **changes)

    return training
