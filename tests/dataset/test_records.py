"""MindRecord in and out: with MindSpore as the backend, and refused without it."""

from __future__ import annotations

from pathlib import Path

import corpus
import numpy as np
import pytest

from moyin.backend import NAME
from moyin.data.item import Item
from moyin.data.readers import partitions
from moyin.dataset import dataset as datasets
from moyin.dataset.dataset import Dataset
from moyin.dataset.export import export_dataset, import_dataset
from moyin.dataset.sample import Sample

HERE = pytest.mark.skipif(NAME != "mindspore", reason="MindRecord is MindSpore's own format")


@pytest.fixture
def dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """Five rows in shards of two, with a column of every kind."""
    monkeypatch.setattr(datasets, "SHARD", 2)
    dataset = Dataset.create(tmp_path / "s", {"size": 4}, seed=3, count=5, digest="maker")
    images = np.random.default_rng(0).integers(0, 256, (5, 4, 6, 3), np.uint8)
    dataset.append(Sample(p, (f"“春”{i}",), (), {}, (), 3, i) for i, p in enumerate(images))
    dataset.add_column("tokens", "tokenizer", (np.full((2, 3), n, np.uint16) for n in range(5)))
    dataset.add_column("crops", "cut", (np.zeros((n, 1), np.float16) for n in range(5)), "npy")
    dataset.add_column("quality", "measured", [0.1, float("inf"), -2.0, 1e-300, 3.0], "float64")
    dataset.add_column("level", "measured", [1, -(2**62), 0, 2, 3], "int64")
    dataset.add_column("language", "guessed", ["zh", "en", "", "混", "zh"], "text")
    return dataset


def items(path: Path) -> list[Item]:
    return [item for partition in partitions(path) for item in partition.read()]


@HERE
def test_a_dataset_comes_back_row_for_row(dataset: Dataset, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export_dataset(dataset.path, out, "mindrecord")
    assert not list(out.glob("*.partial"))
    last = out / "00002.mindrecord"
    last.unlink()
    export_dataset(dataset.path, out, "mindrecord")  # goes on
    assert last.exists()
    assert import_dataset(out, tmp_path / "again").digest() == dataset.digest()


@HERE
def test_mindspore_reads_what_was_exported(dataset: Dataset, tmp_path: Path) -> None:
    from mindspore.mindrecord import FileReader

    export_dataset(dataset.path, tmp_path / "out", "mindrecord")
    reader = FileReader(str(tmp_path / "out" / "00001.mindrecord"))
    rows = list(reader.get_next())
    reader.close()
    assert [(row["level"], row["language"]) for row in rows] == [(0, ""), (2, "混")]
    assert rows[0]["quality"].tolist() == [-2.0]
    assert rows[0]["image"] == dataset.shard("image", 1)[0]


@HERE
def test_images_and_captions_come_in_a_share_at_a_time(tmp_path: Path) -> None:
    from mindspore.mindrecord import FileWriter

    folder = tmp_path / "in"
    folder.mkdir()
    writer = FileWriter(str(folder / "some.mindrecord"), shard_num=1)
    kinds = {"image": "bytes", "label": "int64", "caption": "string"}
    writer.add_schema({name: {"type": kind} for name, kind in kinds.items()})
    images = [corpus.encoded(corpus.photograph(n), "PNG") + bytes(n % 3) for n in range(67)]
    writer.write_raw_data(
        [{"image": p, "label": n, "caption": f"一张图 {n}"} for n, p in enumerate(images)]
    )
    writer.commit()
    assert len(list(partitions(folder))) == 2
    found = items(folder)
    assert [item.content for item in found] == images
    assert found[66].key == "some.mindrecord:66"
    assert found[66].sample.captions == ("一张图 66",)


@HERE
def test_what_is_no_table_is_told(tmp_path: Path) -> None:
    (tmp_path / "wrong.mindrecord").write_bytes(b"no rows at all")
    (item,) = items(tmp_path)
    assert (item.key, item.reason) == ("wrong.mindrecord", "unreadable table")


@pytest.mark.skipif(NAME == "mindspore", reason="there it works")
def test_without_mindspore_it_says_what_is_needed(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"MindRecord needs MindSpore: pip install"):
        export_dataset(dataset.path, tmp_path / "out", "mindrecord")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.mindrecord").write_bytes(b"whatever")
    (item,) = items(tmp_path / "in")
    assert item.reason == "unreadable table"
    assert "MOYIN_BACKEND=mindspore" in item.detail
