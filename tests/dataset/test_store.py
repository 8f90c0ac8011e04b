from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from moyin.dataset import dataset as module
from moyin.dataset.column import Column
from moyin.dataset.dataset import Store
from moyin.dataset.sample import Line, Sample


def sample(index: int) -> Sample:
    picture = np.full((4, 5, 3), index, np.uint8)
    box = (0.0, 0.0, 1.0, 1.0)
    line = Line("春", box, (box,), (box,), "red", "Face", "middle")
    return Sample(picture, (f"“春”{index}",), (line,), {"kind": "flat"}, (), 0, index)


def filled(path: Path, count: int, shard: int, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr(module, "SHARD", shard)
    store = Store.create(path, {"size": 4}, seed=0, count=count, digest="maker")
    store.append(sample(index) for index in range(count))
    return store


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    return filled(tmp_path / "s", 10, 4, monkeypatch)


def numbers(first: int, last: int) -> Iterator[np.ndarray]:
    return (np.full((2, 2), n, np.uint16) for n in range(first, last))


def test_samples_come_back(store: Store) -> None:
    assert len(store) == 10
    again = Store.open(store.path)
    assert again.sample(7).to_json() == sample(7).to_json()
    rows = again.read(["picture"], [9, 0])
    assert [int(row["picture"].max()) for row in rows] == [9, 0]
    assert sorted(path.name for path in (store.path / "meta").iterdir()) == [
        "00000.arrow",
        "00001.arrow",
        "00002.arrow",
    ]


def test_a_column_is_added_without_touching_the_others(store: Store) -> None:
    before = {path: path.stat().st_mtime_ns for path in store.path.rglob("*.arrow")}
    store.add_column("ids", "tokenizer", numbers(0, 10))
    again = Store.open(store.path)
    assert again.columns == ("picture", "meta", "ids")
    assert [int(row["ids"][1, 1]) for row in again.read(["ids", "meta"], [3, 9])] == [3, 9]
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())


def test_a_column_that_was_cut_short_goes_on_from_its_complete_shards(store: Store) -> None:
    def broken() -> Iterator[np.ndarray]:
        yield from numbers(0, 6)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.add_column("ids", "tokenizer", broken())
    again = Store.open(store.path)
    assert again.rows_of("ids") == 4
    again.add_column("ids", "tokenizer", numbers(4, 10))
    assert [int(row["ids"][0, 0]) for row in again.read(["ids"], range(10))] == list(range(10))


def test_too_few_rows_are_an_error(store: Store) -> None:
    with pytest.raises(ValueError, match="'ids' ends after 7 rows"):
        store.add_column("ids", "tokenizer", numbers(0, 7))


def test_a_stale_column_is_refused_by_name(store: Store) -> None:
    store.add_column("ids", "old", numbers(0, 10))
    assert store.column("ids", "old").shape == (2, 2)
    with pytest.raises(ValueError, match=r"column 'ids'.*is stale"):
        store.column("ids", "new")
    with pytest.raises(ValueError, match="is stale"):
        store.add_column("ids", "new", numbers(0, 10))
    store.drop_column("ids")
    store.add_column("ids", "new", numbers(10, 20))
    assert int(store.read(["ids"], [0])[0]["ids"][0, 0]) == 10


def test_what_is_not_there_is_named(store: Store, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no column 'latents'; it has picture, meta"):
        store.read(["latents"], [0])
    with pytest.raises(IndexError, match="row 10"):
        store.sample(10)
    with pytest.raises(ValueError, match=r"no readable store.*moyin prepare"):
        Store.open(tmp_path / "nowhere")


def test_a_damaged_header_or_another_format_is_refused(store: Store) -> None:
    header = store.path / "store.json"
    fields = json.loads(header.read_text())
    header.write_text(json.dumps(fields | {"format": 99}))
    with pytest.raises(ValueError, match="format 99"):
        Store.open(store.path)
    header.write_text("{")
    with pytest.raises(ValueError, match="no readable store"):
        Store.open(store.path)


def test_another_maker_is_refused(store: Store) -> None:
    with pytest.raises(ValueError, match=r"'picture'.*is stale"):
        Store.create(store.path, {"size": 8}, seed=0, count=10, digest="another")


def test_a_shard_cut_short_is_named(store: Store) -> None:
    path = store.path / "picture" / "00001.arrow"
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(ValueError, match=r"picture/00001\.arrow is damaged"):
        len(Store.open(store.path))


def test_the_digest_is_of_the_rows_whatever_the_shards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = filled(tmp_path / "a", 10, 4, monkeypatch)
    second = filled(tmp_path / "b", 10, 7, monkeypatch)
    assert first.digest() == second.digest()
    other = filled(tmp_path / "c", 9, 4, monkeypatch)
    assert other.digest() != first.digest()
    before = first.digest()
    first.add_column("ids", "tokenizer", numbers(0, 10))
    assert first.digest() != before


def test_a_store_that_grew_has_its_last_rows_added_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = filled(tmp_path / "s", 6, 4, monkeypatch)
    store.add_column("ids", "tokenizer", numbers(0, 6))
    store.write_shard(1, [sample(index) for index in range(4, 8)])
    assert (len(store), store.rows_of("ids")) == (8, 4)
    store.add_column("ids", "tokenizer", numbers(4, 8))
    assert store.rows_of("ids") == 8


@pytest.mark.parametrize(
    ("kind", "rows", "dtype"),
    [
        ("float64", [n / 4 for n in range(10)], "float64"),
        ("int64", [n - 5 for n in range(10)], "int64"),
        ("text", ["春" * n for n in range(10)], "object"),
    ],
)
def test_scalars_are_read_whole_and_by_row(store: Store, kind: str, rows: list, dtype: str) -> None:
    store.add_column("level", "measured", rows, kind)
    again = Store.open(store.path)
    whole = again.values("level")
    assert (whole.dtype, whole.tolist()) == (np.dtype(dtype), rows)
    assert [row["level"] for row in again.read(["level", "meta"], [9, 0])] == [rows[9], rows[0]]
    with pa.ipc.open_file(store.path / "level" / "00001.arrow") as file:
        table = file.read_all()
    assert table.column(0).to_pylist() == rows[4:8]


def test_only_scalars_are_read_whole(store: Store) -> None:
    with pytest.raises(ValueError, match=r"'meta' of .* holds json, no scalars"):
        store.values("meta")


def test_shards_of_a_column_are_written_in_any_order(store: Store) -> None:
    store.begin_column("level", Column(kind="int64", digest="measured"))
    store.write_column("level", 1, [4, 5, 6, 7])
    assert store.shard_rows(1, ["meta", "level"]) == 4
    assert (store.shard_rows(0, ["level"]), store.rows_of("level")) == (0, 0)
    store.write_column("level", 0, [0, 1, 2, 3])
    store.write_column("level", 2, [8, 9])
    assert store.values("level").tolist() == list(range(10))
    with pytest.raises(ValueError, match=r"column 'level'.*is stale"):
        store.begin_column("level", Column(kind="int64", digest="another"))
    with pytest.raises(ValueError, match=r"column '\.\./up': a name has letters"):
        store.begin_column("../up", Column(kind="int64", digest=""))


def test_the_digest_tells_numbers_apart(store: Store) -> None:
    store.add_column("level", "measured", range(10), "int64")
    before = store.digest()
    store.write_column("level", 2, [8, 10])
    assert store.digest() != before


def test_a_replaced_column_is_the_old_one_until_the_new_one_is_complete(store: Store) -> None:
    store.add_column("ids", "old", numbers(0, 10))
    seen: list[int] = []

    def watched() -> Iterator[np.ndarray]:
        for row in numbers(10, 20):
            again = Store.open(store.path)
            seen.append(int(again.read(["ids"], [9])[0]["ids"][0, 0]))
            assert again.columns == ("picture", "meta", "ids")
            yield row

    reader = Store.open(store.path)
    reader.read(["ids"], [0])
    store.replace_column("ids", "new", watched())
    assert seen == [9] * 10
    fresh = Store.open(store.path)
    assert (fresh.column("ids").digest, fresh.column("ids").version) == ("new", 1)
    assert [int(row["ids"][0, 0]) for row in fresh.read(["ids"], [0, 9])] == [10, 19]
    assert [int(row["ids"][0, 0]) for row in reader.read(["ids"], [0, 9])] == [0, 9]


def test_a_replacement_that_was_stopped_changes_nothing(store: Store) -> None:
    store.add_column("ids", "old", numbers(0, 10))

    def broken() -> Iterator[np.ndarray]:
        yield from numbers(10, 16)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.replace_column("ids", "new", broken())
    before = Store.open(store.path).digest()
    assert Store.open(store.path).column("ids").digest == "old"
    store.replace_column("ids", "newer", numbers(20, 30))
    assert Store.open(store.path).digest() != before
    assert [int(row["ids"][0, 0]) for row in store.read(["ids"], [0, 9])] == [20, 29]


def test_only_the_version_before_is_kept(store: Store) -> None:
    store.add_column("ids", "0", numbers(0, 10))
    for version in range(1, 4):
        store.replace_column("ids", str(version), numbers(version, version + 10))
    folders = sorted(path.name for path in store.path.iterdir() if path.is_dir())
    assert folders == ["ids.2", "ids.3", "meta", "picture"]
    store.drop_column("ids")
    folders = sorted(path.name for path in store.path.iterdir() if path.is_dir())
    assert folders == ["meta", "picture"]


def test_two_who_add_columns_do_not_undo_each_other(store: Store) -> None:
    other = Store.open(store.path)
    store.add_column("ids", "tokenizer", numbers(0, 10))
    other.add_column("level", "measured", range(10), "int64")
    assert Store.open(store.path).columns == ("picture", "meta", "ids", "level")
