from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from moyin.dataset import dataset as module
from moyin.dataset.column import Column
from moyin.dataset.dataset import Dataset
from moyin.dataset.sample import Line, Sample


def sample(index: int) -> Sample:
    image = np.full((4, 5, 3), index, np.uint8)
    box = (0.0, 0.0, 1.0, 1.0)
    line = Line("春", box, (box,), (box,), "red", "Font", "middle")
    return Sample(image, (f"“春”{index}",), (line,), {"kind": "flat"}, (), 0, index)


def filled(path: Path, count: int, shard: int, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    monkeypatch.setattr(module, "SHARD", shard)
    dataset = Dataset.create(path, {"size": 4}, seed=0, count=count, digest="maker")
    dataset.append(sample(index) for index in range(count))
    return dataset


@pytest.fixture
def dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    return filled(tmp_path / "s", 10, 4, monkeypatch)


def numbers(first: int, last: int) -> Iterator[np.ndarray]:
    return (np.full((2, 2), n, np.uint16) for n in range(first, last))


def test_samples_come_back(dataset: Dataset) -> None:
    assert len(dataset) == 10
    again = Dataset.open(dataset.path)
    assert again.sample(7).to_json() == sample(7).to_json()
    rows = again.read(["image"], [9, 0])
    assert [int(row["image"].max()) for row in rows] == [9, 0]
    assert sorted(path.name for path in (dataset.path / "meta").iterdir()) == [
        "00000.arrow",
        "00001.arrow",
        "00002.arrow",
    ]


def test_a_column_is_added_without_touching_the_others(dataset: Dataset) -> None:
    before = {path: path.stat().st_mtime_ns for path in dataset.path.rglob("*.arrow")}
    dataset.add_column("tokens", "tokenizer", numbers(0, 10))
    again = Dataset.open(dataset.path)
    assert again.columns == ("image", "meta", "tokens")
    assert [int(row["tokens"][1, 1]) for row in again.read(["tokens", "meta"], [3, 9])] == [3, 9]
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())


def test_a_column_that_was_cut_short_goes_on_from_its_complete_shards(dataset: Dataset) -> None:
    def broken() -> Iterator[np.ndarray]:
        yield from numbers(0, 6)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        dataset.add_column("tokens", "tokenizer", broken())
    again = Dataset.open(dataset.path)
    assert again.rows_of("tokens") == 4
    again.add_column("tokens", "tokenizer", numbers(4, 10))
    assert [int(row["tokens"][0, 0]) for row in again.read(["tokens"], range(10))] == list(
        range(10)
    )


def test_too_few_rows_are_an_error(dataset: Dataset) -> None:
    with pytest.raises(ValueError, match="'tokens' ends after 7 rows"):
        dataset.add_column("tokens", "tokenizer", numbers(0, 7))


def test_a_stale_column_is_refused_by_name(dataset: Dataset) -> None:
    dataset.add_column("tokens", "old", numbers(0, 10))
    assert dataset.column("tokens", "old").shape == (2, 2)
    with pytest.raises(ValueError, match=r"column 'tokens'.*is stale"):
        dataset.column("tokens", "new")
    with pytest.raises(ValueError, match="is stale"):
        dataset.add_column("tokens", "new", numbers(0, 10))
    dataset.drop_column("tokens")
    dataset.add_column("tokens", "new", numbers(10, 20))
    assert int(dataset.read(["tokens"], [0])[0]["tokens"][0, 0]) == 10


def test_what_is_not_there_is_named(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no column 'latents'; it has image, meta"):
        dataset.read(["latents"], [0])
    with pytest.raises(IndexError, match="row 10"):
        dataset.sample(10)
    with pytest.raises(ValueError, match=r"no readable dataset.*moyin prepare"):
        Dataset.open(tmp_path / "nowhere")


def test_a_damaged_header_or_another_format_is_refused(dataset: Dataset) -> None:
    header = dataset.path / "dataset.json"
    fields = json.loads(header.read_text())
    header.write_text(json.dumps(fields | {"format": 99}))
    with pytest.raises(ValueError, match="format 99"):
        Dataset.open(dataset.path)
    header.write_text("{")
    with pytest.raises(ValueError, match="no readable dataset"):
        Dataset.open(dataset.path)


def test_a_dataset_of_format_1_is_refused(tmp_path: Path) -> None:
    (tmp_path / "store.json").write_text('{"format": 1}')
    with pytest.raises(ValueError, match=r"format 1 \(store.json\): prepare it again"):
        Dataset.open(tmp_path)


def test_another_maker_is_refused(dataset: Dataset) -> None:
    with pytest.raises(ValueError, match=r"'image'.*is stale"):
        Dataset.create(dataset.path, {"size": 8}, seed=0, count=10, digest="another")


def test_a_shard_cut_short_is_named(dataset: Dataset) -> None:
    path = dataset.path / "image" / "00001.arrow"
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(ValueError, match=r"image/00001\.arrow is damaged"):
        len(Dataset.open(dataset.path))


def test_the_digest_is_of_the_rows_whatever_the_shards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = filled(tmp_path / "a", 10, 4, monkeypatch)
    second = filled(tmp_path / "b", 10, 7, monkeypatch)
    assert first.digest() == second.digest()
    other = filled(tmp_path / "c", 9, 4, monkeypatch)
    assert other.digest() != first.digest()
    before = first.digest()
    first.add_column("tokens", "tokenizer", numbers(0, 10))
    assert first.digest() != before


def test_a_dataset_that_grew_has_its_last_rows_added_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = filled(tmp_path / "s", 6, 4, monkeypatch)
    dataset.add_column("tokens", "tokenizer", numbers(0, 6))
    dataset.write_shard(1, [sample(index) for index in range(4, 8)])
    assert (len(dataset), dataset.rows_of("tokens")) == (8, 4)
    dataset.add_column("tokens", "tokenizer", numbers(4, 8))
    assert dataset.rows_of("tokens") == 8


@pytest.mark.parametrize(
    ("kind", "rows", "dtype"),
    [
        ("float64", [n / 4 for n in range(10)], "float64"),
        ("int64", [n - 5 for n in range(10)], "int64"),
        ("text", ["春" * n for n in range(10)], "object"),
    ],
)
def test_scalars_are_read_whole_and_by_row(
    dataset: Dataset, kind: str, rows: list, dtype: str
) -> None:
    dataset.add_column("level", "measured", rows, kind)
    again = Dataset.open(dataset.path)
    whole = again.values("level")
    assert (whole.dtype, whole.tolist()) == (np.dtype(dtype), rows)
    assert [row["level"] for row in again.read(["level", "meta"], [9, 0])] == [rows[9], rows[0]]
    with pa.ipc.open_file(dataset.path / "level" / "00001.arrow") as file:
        table = file.read_all()
    assert table.column(0).to_pylist() == rows[4:8]


def test_only_scalars_are_read_whole(dataset: Dataset) -> None:
    with pytest.raises(ValueError, match=r"'meta' of .* holds json, not scalars"):
        dataset.values("meta")


def test_shards_of_a_column_are_written_in_any_order(dataset: Dataset) -> None:
    dataset.begin_column("level", Column(kind="int64", digest="measured"))
    dataset.write_column("level", 1, [4, 5, 6, 7])
    assert dataset.shard_rows(1, ["meta", "level"]) == 4
    assert (dataset.shard_rows(0, ["level"]), dataset.rows_of("level")) == (0, 0)
    dataset.write_column("level", 0, [0, 1, 2, 3])
    dataset.write_column("level", 2, [8, 9])
    assert dataset.values("level").tolist() == list(range(10))
    with pytest.raises(ValueError, match=r"column 'level'.*is stale"):
        dataset.begin_column("level", Column(kind="int64", digest="another"))
    with pytest.raises(ValueError, match=r"column '\.\./up': a name consists of letters"):
        dataset.begin_column("../up", Column(kind="int64", digest=""))


def test_the_digest_tells_numbers_apart(dataset: Dataset) -> None:
    dataset.add_column("level", "measured", range(10), "int64")
    before = dataset.digest()
    dataset.write_column("level", 2, [8, 10])
    assert dataset.digest() != before


def test_a_replaced_column_is_the_old_one_until_the_new_one_is_complete(dataset: Dataset) -> None:
    dataset.add_column("tokens", "old", numbers(0, 10))
    seen: list[int] = []

    def watched() -> Iterator[np.ndarray]:
        for row in numbers(10, 20):
            again = Dataset.open(dataset.path)
            seen.append(int(again.read(["tokens"], [9])[0]["tokens"][0, 0]))
            assert again.columns == ("image", "meta", "tokens")
            yield row

    reader = Dataset.open(dataset.path)
    reader.read(["tokens"], [0])
    dataset.replace_column("tokens", "new", watched())
    assert seen == [9] * 10
    fresh = Dataset.open(dataset.path)
    assert (fresh.column("tokens").digest, fresh.column("tokens").version) == ("new", 1)
    assert [int(row["tokens"][0, 0]) for row in fresh.read(["tokens"], [0, 9])] == [10, 19]
    assert [int(row["tokens"][0, 0]) for row in reader.read(["tokens"], [0, 9])] == [0, 9]


def test_a_replacement_that_was_stopped_changes_nothing(dataset: Dataset) -> None:
    dataset.add_column("tokens", "old", numbers(0, 10))

    def broken() -> Iterator[np.ndarray]:
        yield from numbers(10, 16)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        dataset.replace_column("tokens", "new", broken())
    before = Dataset.open(dataset.path).digest()
    assert Dataset.open(dataset.path).column("tokens").digest == "old"
    dataset.replace_column("tokens", "newer", numbers(20, 30))
    assert Dataset.open(dataset.path).digest() != before
    assert [int(row["tokens"][0, 0]) for row in dataset.read(["tokens"], [0, 9])] == [20, 29]


def test_only_the_version_before_is_kept(dataset: Dataset) -> None:
    dataset.add_column("tokens", "0", numbers(0, 10))
    for version in range(1, 4):
        dataset.replace_column("tokens", str(version), numbers(version, version + 10))
    folders = sorted(path.name for path in dataset.path.iterdir() if path.is_dir())
    assert folders == ["image", "meta", "tokens.2", "tokens.3"]
    dataset.drop_column("tokens")
    folders = sorted(path.name for path in dataset.path.iterdir() if path.is_dir())
    assert folders == ["image", "meta"]


def test_two_who_add_columns_do_not_undo_each_other(dataset: Dataset) -> None:
    other = Dataset.open(dataset.path)
    dataset.add_column("tokens", "tokenizer", numbers(0, 10))
    other.add_column("level", "measured", range(10), "int64")
    assert Dataset.open(dataset.path).columns == ("image", "meta", "tokens", "level")
