"""Every kind of input, written by another library than reads it where there is one."""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import replace
from pathlib import Path

import corpus
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from moyin.data.item import Item
from moyin.data.readers import Partition, listing, partitions, rendered, tables
from moyin.render.renderer import Renderer


def image(number: int) -> bytes:
    return corpus.encoded(corpus.photograph(number), "PNG")


def items(path: Path) -> list[Item]:
    return [item for partition in partitions(path) for item in partition.read()]


def told(found: list[Item]) -> list[tuple[str, tuple[str, ...], str]]:
    return [(item.key, item.sample.captions, item.reason) for item in found]


def put(root: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


def test_files_come_sorted_with_the_captions_beside_them(tmp_path: Path) -> None:
    files = {
        "b/2.png": image(2),
        "b/2.txt": b"two\n",
        "a.png": image(1),
        "a.json": b'{"caption_zh": "\xe4\xb8\x80", "captions": ["one", "first"], "n": 1}',
        "c.png": image(3),
        "c.json": b"{",
        ".hidden.png": image(4),
    }
    found = items(put(tmp_path / "in", files))
    wanted = [("a.png", ("一", "one", "first"), ""), ("b/2.png", ("two\n",), "")]
    assert told(found) == [*wanted, ("c.png", (), "captions are not JSON")]
    assert found[0].content == files["a.png"]
    assert {item.source for item in found} == {"in"}


def test_a_large_folder_is_walked_in_order_with_few_names_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"{number:03d}" for number in range(100)]
    put(tmp_path, dict.fromkeys(reversed(names), b""))
    monkeypatch.setattr(listing, "MAX_NAMES", 7)
    assert [entry.name for entry in listing.list_files(tmp_path)] == names


def test_partitions_are_small_and_the_same_each_time(tmp_path: Path) -> None:
    put(tmp_path, {f"{number:03d}.png": b"x" for number in range(130)})
    found: list[Partition] = list(partitions(tmp_path))
    assert [len(list(partition.read())) for partition in found] == [64, 64, 2]
    assert repr(found) == repr(list(partitions(tmp_path)))


def test_a_metadata_table_names_its_images_and_none_outside(tmp_path: Path) -> None:
    rows = [
        {"file_name": "b.png", "text": "bee"},
        {"file_name": "sub/a.png", "text": ["one", "two"]},
        {"file_name": "../outside.png", "text": "no"},
        {"file_name": "/etc/passwd", "text": "no"},
        {"text": "no"},
    ]
    lines = "".join(f"{json.dumps(row)}\n" for row in rows)
    files = {"b.png": image(1), "sub/a.png": image(2), "unnamed.png": image(3)}
    root = put(tmp_path / "in", files | {"metadata.jsonl": lines.encode() + b"{broken\n"})
    (tmp_path / "outside.png").write_bytes(image(4))
    found = items(root)
    assert [(item.key, item.sample.captions) for item in found[:2]] == [
        ("b.png", ("bee",)),
        ("sub/a.png", ("one", "two")),
    ]
    assert [item.reason for item in found[2:]] == [
        "path out of its folder",
        "path out of its folder",
        "row without file_name",
        "row is not JSON",
    ]


def test_webdataset_tars(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for name, content in {
            "x/001.png": image(1),
            "x/001.txt": "一 one".encode(),
            "x/002.json": b'{"caption": "two"}',
            "x/002.png": image(2),
            "x/003.txt": b"no image",
        }.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    found = items(tmp_path)
    assert told(found) == [
        ("x/001.png", ("一 one",), ""),
        ("x/002.png", ("two",), ""),
        ("x/003", (), "no image in the sample"),
    ]
    assert [item.content for item in found[:2]] == [image(1), image(2)]


def test_a_tar_of_many_samples_is_cut_into_partitions(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for number in range(100):
            info = tarfile.TarInfo(f"{number:03d}.png")
            info.size = 3
            tar.addfile(info, io.BytesIO(b"abc"))
    found = list(partitions(tmp_path / "a.tar"))
    assert [len(list(partition.read())) for partition in found] == [64, 36]


def hugging_face(count: int) -> pa.Table:
    images = [{"bytes": image(n % 5), "path": f"{n}.png"} for n in range(count)]
    return pa.table({"image": images, "text": [f"caption {n}" for n in range(count)]})


def test_parquet_as_hugging_face_writes_it(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    table = hugging_face(150)
    pq.write_table(table, tmp_path / "data/train-00000-of-00001.parquet", row_group_size=100)
    found = items(tmp_path)
    assert [item.sample.captions for item in found] == [(f"caption {n}",) for n in range(150)]
    assert found[149].content == image(149 % 5)
    sizes = [len(list(partition.read())) for partition in partitions(tmp_path)]
    assert sizes == [64, 36, 50]


@pytest.mark.parametrize("opened", [pa.ipc.new_file, pa.ipc.new_stream])
def test_arrow_as_datasets_saves_it(tmp_path: Path, opened) -> None:
    table = hugging_face(90)
    with opened(tmp_path / "data-00000-of-00001.arrow", table.schema) as writer:
        writer.write_table(table, max_chunksize=80)
    found = items(tmp_path)
    assert [item.sample.captions for item in found] == [(f"caption {n}",) for n in range(90)]
    assert found[85].content == image(0)


def test_parquet_with_paths_or_bytes_of_any_name(tmp_path: Path) -> None:
    put(tmp_path, {"images/a.png": image(1)})
    paths = ["images/a.png", "../b.png", "none.png"]
    pq.write_table(pa.table({"file_name": paths, "caption": ["a"] * 3}), tmp_path / "p.parquet")
    found = items(tmp_path / "p.parquet")
    assert found[0].content == image(1)
    assert [item.reason for item in found[1:]] == ["path out of its folder", "no such file"]
    pq.write_table(pa.table({"jpg": [b"x", b""], "title": ["t", "u"]}), tmp_path / "q.parquet")
    found = items(tmp_path / "q.parquet")
    assert [(i.content, i.reason) for i in found] == [(b"x", ""), (b"", "row without an image")]
    pq.write_table(pa.table({"number": [1]}), tmp_path / "r.parquet")
    (item,) = items(tmp_path / "r.parquet")
    assert item.detail == "no column of images in number"


@pytest.mark.parametrize("end", ["parquet", "arrow"])
def test_a_table_of_paths_has_the_captions_of_the_images_beside_it(
    tmp_path: Path, end: str
) -> None:
    files = {"train/a.png": image(1), "train/below/b.png": image(2), "train/c.png": image(3)}
    put(tmp_path, files | {"README.md": b"# Images", "before/d.png": image(4)})
    rows = pa.table({"file_name": ["a.png", "below/b.png"], "text": ["one", "two"]})
    table = tmp_path / f"train/metadata.{end}"
    if end == "parquet":
        pq.write_table(rows, table)
    else:
        with pa.ipc.new_stream(table, rows.schema) as writer:
            writer.write_table(rows)
    found = items(tmp_path)
    assert [item.content for item in found] == [image(4), image(1), image(2)]
    assert [item.sample.captions for item in found] == [(), ("one",), ("two",)]


def test_a_damaged_row_group_loses_its_rows_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    table = pa.table({"jpg": [b"%d" % n * 50 for n in range(20)]})
    pq.write_table(table, path, row_group_size=10, compression="none", use_dictionary=False)
    content = bytearray(path.read_bytes())
    content[4:40] = bytes(36)
    path.write_bytes(content)
    found = items(path)
    assert [item.reason for item in found[:1]] == ["damaged table"]
    assert [item.content for item in found[1:]] == [b"%d" % n * 50 for n in range(10, 20)]


def test_rendered_images_are_a_source_too() -> None:
    config = Renderer.Config(size=64, fonts=("NotoSansSC-Bold",))
    first, second = rendered.partitions(config, 3, 67)
    assert (first.last, second.first) == (64, 64)
    found = list(second.read())
    assert [item.key for item in found] == ["64", "65", "66"]
    assert found[2].sample.to_json() == config.build()(3, 66).to_json()
    assert all(item.rendered for item in found)


def test_drafts_that_lacked_a_glyph_are_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    config = Renderer.Config(size=64, fonts=("NotoSansSC-Bold",))
    drawn = config.build()(3, 0)
    monkeypatch.setattr(Renderer, "__call__", lambda _, seed, index: replace(drawn, dropped=index))
    (partition,) = rendered.partitions(config, 3, 3)
    assert [item.notes.count(rendered.NO_GLYPH) for item in partition.read()] == [0, 1, 2]


def test_what_holds_images_is_told_by_name_and_type() -> None:
    assert tables.columns(pa.schema({"text": pa.string(), "image": pa.binary()})) == [
        "image",
        "text",
    ]
    with pytest.raises(ValueError, match="no column of images in blob"):
        tables.columns(pa.schema({"blob": pa.binary()}))
