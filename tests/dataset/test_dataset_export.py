from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from moyin.cli.app import main
from moyin.dataset import dataset as module
from moyin.dataset.dataset import Dataset
from moyin.dataset.export import export_dataset, import_dataset
from moyin.dataset.sample import Sample

KINDS = pytest.mark.parametrize("kind", ["webdataset", "parquet"])


@pytest.fixture
def dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """Five rows in shards of two, with a column of every kind."""
    monkeypatch.setattr(module, "SHARD", 2)
    dataset = Dataset.create(tmp_path / "s", {"size": 4}, seed=3, count=5, digest="maker")
    images = np.random.default_rng(0).integers(0, 256, (5, 4, 6, 3), np.uint8)
    dataset.append(Sample(p, (f"“春”{i}",), (), {}, (), 3, i) for i, p in enumerate(images))
    dataset.add_column("tokens", "tokenizer", (np.full((2, 3), n, np.uint16) for n in range(5)))
    dataset.add_column("crops", "cut", (np.ones((n, 1), np.float16) for n in range(5)), "npy")
    dataset.add_column("boxes", "ocr", ([[n, 0.5]] for n in range(5)), "json")
    dataset.add_column("quality", "measured", [0.1, float("inf"), -2.0, 1e-300, 3.0], "float64")
    dataset.add_column("level", "measured", range(5), "int64")
    dataset.add_column("language", "guessed", ["zh", "en", "", "混", "zh"], "text")
    return dataset


@KINDS
def test_a_dataset_comes_back_row_for_row(dataset: Dataset, tmp_path: Path, kind: str) -> None:
    export_dataset(dataset.path, tmp_path / "out", kind)
    again = import_dataset(tmp_path / "out", tmp_path / "again")
    assert again.digest() == dataset.digest()
    assert again.header["columns"].keys() == dataset.header["columns"].keys()
    assert Dataset.open(again.path).column("tokens") == dataset.column("tokens")


def test_tars_are_what_others_read(dataset: Dataset, tmp_path: Path) -> None:
    export_dataset(dataset.path, tmp_path / "out", "webdataset")
    with tarfile.open(tmp_path / "out" / "00001.tar") as tar:
        names = tar.getnames()
        files = {name: tar.extractfile(name).read() for name in names}  # type: ignore[union-attr]
    assert names[:3] == ["00000002.png", "00000002.json", "00000002.tokens.npy"]
    image = np.asarray(Image.open(io.BytesIO(files["00000003.png"])))
    assert np.array_equal(image, dataset.sample(3).image)
    assert json.loads(files["00000003.json"])["captions"] == ["“春”3"]
    assert np.load(io.BytesIO(files["00000003.tokens.npy"])).tolist() == [[3, 3, 3]] * 2
    values = {"quality": 1e-300, "level": 3, "language": "混"}
    assert json.loads(files["00000003.values.json"]) == values


def test_parquet_is_what_others_read(dataset: Dataset, tmp_path: Path) -> None:
    export_dataset(dataset.path, tmp_path / "out", "parquet")
    table = pq.read_table(tmp_path / "out")
    assert table["level"].to_pylist() == [0, 1, 2, 3, 4]
    assert table["language"].to_pylist() == ["zh", "en", "", "混", "zh"]
    assert np.load(io.BytesIO(table["crops"][4].as_py())).shape == (4, 1)
    assert Image.open(io.BytesIO(table["image"][4].as_py())).size == (6, 4)


@KINDS
def test_what_was_stopped_goes_on(dataset: Dataset, tmp_path: Path, kind: str) -> None:
    out = export_dataset(dataset.path, tmp_path / "out", kind)
    files = sorted(out.glob("0*"))
    kept = files[0].stat().st_mtime_ns
    files[1].unlink()
    export_dataset(dataset.path, out, kind)
    assert files[0].stat().st_mtime_ns == kept
    content = files[1].read_bytes()
    files[1].write_bytes(content[:700])
    with pytest.raises(ValueError, match=f"{files[1].name} cannot be read.*export it again"):
        import_dataset(out, tmp_path / "again")
    files[1].write_bytes(content)
    assert import_dataset(out, tmp_path / "again").digest() == dataset.digest()


def test_another_dataset_is_not_written_over(dataset: Dataset, tmp_path: Path) -> None:
    out = export_dataset(dataset.path, tmp_path / "out", "parquet")
    dataset.drop_column("crops")
    with pytest.raises(ValueError, match="export of another dataset, or of another state"):
        export_dataset(dataset.path, out, "parquet")
    Dataset.create(tmp_path / "other", {}, seed=0, count=1, digest="somebody")
    with pytest.raises(ValueError, match=r"'image'.*is stale"):
        import_dataset(out, tmp_path / "other")


def test_an_unfinished_column_is_named(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="ends after 4 rows"):
        dataset.add_column("more", "measured", range(4), "int64")
    with pytest.raises(ValueError, match=r"'more' of .* has 4 of 5 rows: complete or drop it"):
        export_dataset(dataset.path, tmp_path / "out", "parquet")


def test_on_the_command_line(
    dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, again = tmp_path / "out", tmp_path / "again"
    assert main(["export", str(dataset.path), "--format", "webdataset", "--out", str(out)]) == 0
    assert main(["import", str(out), "--out", str(again)]) == 0
    assert Dataset.open(again).digest() == dataset.digest()
    assert main(["export", str(dataset.path), "--format", "zip", "--out", str(out)]) == 2
    assert "--format zip: it must be webdataset or parquet" in capsys.readouterr().err
    with pytest.raises(ValueError, match="one of webdataset, parquet, mindrecord, not zip"):
        export_dataset(dataset.path, out, "zip")
    assert main(["export", str(dataset.path), "--out", str(out)]) == 2
    assert "--format" in capsys.readouterr().err
    assert main(["import", str(dataset.path), "--out", str(again)]) == 2
    assert "holds no _columns.json of an exported dataset" in capsys.readouterr().err
