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


def test_index_that_lies_is_found(tmp_path: Path) -> None:
    folder = sharded(tmp_path / "x", ["t0", "t1"], ["t2", "t3"])
    index = folder / "anything.safetensors.index.json"
    places = json.loads(index.read_text())["weight_map"]
    for lie in ({"ghost": "part0.safetensors"}, {"t0": "part1.safetensors"}):
        index.write_text(json.dumps({"weight_map": {**places, **lie}}))
        with pytest.raises(ValueError, match=next(iter(lie))):
            read_folder(folder)
    places.pop("t3")
    index.write_text(json.dumps({"weight_map": places}))
    with pytest.raises(ValueError, match="t3"):
        read_folder(folder)


def test_index_may_not_leave_its_folder(tmp_path: Path) -> None:
    folder = sharded(tmp_path / "x", ["t0"])
    index = folder / "anything.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"t0": "../part0.safetensors"}}))
    with pytest.raises(ValueError, match="outside its folder"):
        read_folder(folder)


def test_no_weights_and_too_many(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="incomplete"):
        read_folder(tmp_path)
    for name in ("a", "b"):
        save_file(TENSORS, tmp_path / f"{name}.safetensors")
    with pytest.raises(ValueError, match="2 files and no"):
        read_folder(tmp_path)
