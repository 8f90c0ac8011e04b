from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from moyin.dataset.concat import ConcatDataset
from moyin.dataset.dataset import Dataset
from moyin.dataset.sample import Sample


@pytest.fixture
def places(tmp_path: Path) -> tuple[str, str]:
    image = np.zeros((4, 5, 3), np.uint8)
    for name, count in (("a", 3), ("b:1", 2)):
        dataset = Dataset.create(tmp_path / name, {}, seed=0, count=count, digest=name)
        dataset.append(Sample(image, (name,), (), {}, (), 0, i) for i in range(count))
    return str(tmp_path / "a"), str(tmp_path / "b:1")


def test_rows_are_counted_through(places: tuple[str, str]) -> None:
    datasets = ConcatDataset.open(",".join(places))
    assert (len(datasets), datasets.weights) == (5, (3.0, 2.0))
    rows = datasets.read(["meta"], [4, 0, 3])
    assert [(r["meta"]["captions"][0], r["meta"]["index"]) for r in rows] == [
        ("b:1", 1),
        ("a", 0),
        ("b:1", 0),
    ]
    assert datasets.sample(2).index == 2
    with pytest.raises(IndexError, match="row 5 of"):
        datasets.sample(5)


def test_a_mixture_is_written_with_weights(places: tuple[str, str]) -> None:
    a, b = places
    assert ConcatDataset.open(f"{a}:0.7, {b}:0.3").weights == (0.7, 0.3)
    assert [dataset.path for dataset in ConcatDataset.open(b).parts] == [Path(b)]
    for text in (f"{a}:0.7,{b}:x", f"{a}:1,{b}:0", f"{a}:1,{a}"):
        with pytest.raises(ValueError, match=r"above 0|no readable dataset"):
            ConcatDataset.open(text)


def test_an_empty_dataset_is_named(tmp_path: Path) -> None:
    Dataset.create(tmp_path / "empty", {}, seed=0, count=8, digest="maker")
    with pytest.raises(ValueError, match="empty has no images yet"):
        ConcatDataset.open(str(tmp_path / "empty"))
