from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from moyin.checkpoint.shards import hash_tensors, read_folder, read_header

TENSORS = {f"t{i}": np.arange(4 + i, dtype=np.float32) for i in range(4)}


def sharded(folder: Path, *groups: list[str]) -> Path:
    """TENSORS in as many shards as groups, with an index."""
    folder.mkdir()
    places = {}
    for i, group in enumerate(groups):
        save_file({n: TENSORS[n] for n in group}, folder / f"part{i}.safetensors")
        places |= dict.fromkeys(group, f"part{i}.safetensors")
    index = folder / "anything.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": places}))
    return folder


def test_index_and_single_file_hold_the_same(tmp_path: Path) -> None:
    two = read_folder(sharded(tmp_path / "two", ["t0", "t3"], ["t1", "t2"]))
    (tmp_path / "one").mkdir()
    save_file(TENSORS, tmp_path / "one" / "any-name.safetensors")
    one = read_folder(tmp_path / "one")
    assert one.keys() == two.keys() == TENSORS.keys()
    assert one["t2"].shape == (6,)
    assert one["t2"].dtype == "F32"
    assert hash_tensors(one) == hash_tensors(two)


def test_hash_sees_names_and_values(tmp_path: Path) -> None:
    hashes = set()
    for i, change in enumerate(({}, {"t0": TENSORS["t0"] + 1}, {"new": TENSORS["t0"]})):
        file = tmp_path / f"{i}.safetensors"
        save_file({**TENSORS, **change}, file)
        hashes.add(hash_tensors(read_header(file)))
    assert len(hashes) == 3


def test_missing_shard_is_named(tmp_path: Path) -> None:
    folder = sharded(tmp_path / "x", ["t0", "t1"], ["t2", "t3"])
    (folder / "part1.safetensors").unlink()
    with pytest.raises(ValueError, match=r"part1\.safetensors is missing"):
        read_folder(folder)


@pytest.mark.parametrize("kept", [4, 40, -1])
def test_truncated_shard_is_named(tmp_path: Path, kept: int) -> None:
    folder = sharded(tmp_path / "x", ["t0", "t1"], ["t2", "t3"])
    file = folder / "part0.safetensors"
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"part0\.safetensors"):
        read_folder(folder)


def test_garbage_is_named(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"<html>not found</html>" * 9)
    with pytest.raises(ValueError, match=r"model\.safetensors is no safetensors file"):
        read_folder(tmp_path)


def told(**changes: object) -> dict[str, object]:
    """A header of one tensor, two float32 long, and what is changed of it."""
    return {"t": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} | changes}


@pytest.mark.parametrize(
    "header",
    [
        [],
        {"t": []},
        {"t": {"dtype": "F32"}},
        told(dtype="F99"),
        told(dtype=["F32"]),
        told(shape=[3]),
        told(shape=[-1, -2]),
        told(shape=[2.0]),
        told(shape=None),
        told(data_offsets=[8, 0]),
        told(data_offsets=[-8, 0]),
        told(data_offsets=[0, 8, 8]),
        told(data_offsets=[0, 16], shape=[4]),
        told() | {"again": told()["t"]},
        told(data_offsets=[4, 8], shape=[1]),
    ],
    ids=json.dumps,
)
def test_a_header_that_lies_is_found(tmp_path: Path, header: object) -> None:
    file, text = tmp_path / "model.safetensors", json.dumps(header).encode()
    file.write_bytes(len(text).to_bytes(8, "little") + text + bytes(8))
    with pytest.raises(ValueError, match=r"model\.safetensors .*: fetch it again$") as e:
        read_header(file)
    assert "\n" not in str(e.value)


def test_widths_are_the_format_s(tmp_path: Path) -> None:
    kinds = ("bool", "u1", "i1", "u2", "i2", "f2", "u4", "i4", "f4", "u8", "i8", "f8", "c8")
    save_file({kind: np.zeros((2, 3), kind) for kind in kinds}, tmp_path / "x.safetensors")
    entries = read_header(tmp_path / "x.safetensors")
    assert {n: e.size for n, e in entries.items()} == {k: 6 * np.dtype(k).itemsize for k in kinds}


def test_index_that_lies_is_found(tmp_path: Path) -> None:
    folder = sharded(tmp_path / "x", ["t0", "t1"], ["t2", "t3"])
    index = folder / "anything.safetensors.index.json"
    places = json.loads(index.read_text())["weight_map"]
    for lie in ({"ghost": "part0.safetensors"}, {"t0": "part1.safetensors"}):
        index.write_text(json.dumps({"weight_map": {**places, **lie}}))
        with pytest.raises(ValueError, match=rf"{next(iter(lie))}\): fetch the checkpoint again$"):
            read_folder(folder)
    places.pop("t3")
    index.write_text(json.dumps({"weight_map": places}))
    with pytest.raises(ValueError, match="t3"):
        read_folder(folder)


def test_index_may_not_leave_its_folder(tmp_path: Path) -> None:
    folder = sharded(tmp_path / "x", ["t0"])
    index = folder / "anything.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"t0": "../part0.safetensors"}}))
    with pytest.raises(ValueError, match=r"outside its folder .*: fetch the checkpoint again$"):
        read_folder(folder)


@pytest.mark.parametrize("text", ["{", "[]", '{"weight_map": 3}'])
def test_a_broken_index_is_named(tmp_path: Path, text: str) -> None:
    folder = sharded(tmp_path / "x", ["t0"])
    index = folder / "anything.safetensors.index.json"
    index.write_text(text)
    with pytest.raises(ValueError, match=rf"{index} .*: fetch it again$"):
        read_folder(folder)


def test_no_weights_and_too_many(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"{tmp_path} .* incomplete: fetch the checkpoint again$"):
        read_folder(tmp_path)
    for name in ("a", "b"):
        save_file(TENSORS, tmp_path / f"{name}.safetensors")
    with pytest.raises(ValueError, match="2 files and no"):
        read_folder(tmp_path)
