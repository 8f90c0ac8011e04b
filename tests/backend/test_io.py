"""Safetensors files, written by one side and read by the other."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors import SafetensorError, TensorSpec, safe_open, serialize_file
from safetensors.numpy import load_file, save_file

from moyin.backend import device, io, nn, ops

ARRAYS = {
    "matrix": np.arange(6, dtype=np.float32).reshape(2, 3) / 7,
    "scalar": np.array(5, dtype=np.int64),
    "half": np.array([1.5, -2], dtype=np.float16),
    "flags": np.array([True, False]),
    "bytes": np.array([0, 255], dtype=np.uint8),
    "empty": np.zeros((0, 4), dtype=np.float32),
}


def test_what_is_saved_reads_back(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    io.save(path, {n: ops.asarray(x) for n, x in ARRAYS.items()}, {"format": "pt"})
    for found in (load_file(path), {n: ops.numpy(t) for n, t in io.load(path).items()}):
        assert found.keys() == ARRAYS.keys()
        for n, x in ARRAYS.items():
            assert found[n].dtype == x.dtype
            assert found[n].shape == x.shape
            assert (found[n] == x).all()
    with safe_open(path, framework="np") as f:
        assert f.metadata() == {"format": "pt"}


def test_a_few_names_of_another_writers_file(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file(ARRAYS, path)
    found = io.load(path, ["half", "matrix"])
    assert found["half"].dtype == ops.float16
    assert {n: ops.numpy(t).tolist() for n, t in found.items()} == {
        n: ARRAYS[n].tolist() for n in ("half", "matrix")
    }


def test_views_and_parameters_are_saved(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    layer, view = nn.Linear(2, 3), ops.transpose(ops.asarray(ARRAYS["matrix"]), 0, 1)
    io.save(path, nn.named_parameters(layer) | {"view": view})
    assert (load_file(path)["view"] == ARRAYS["matrix"].T).all()
    assert (load_file(path)["weight"] == ops.numpy(layer.weight)).all()


def test_bfloat16_is_read_exactly_in_the_widest_way_there_is(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    bits = np.array([[0x3F80, 0xC020], [0x4049, 0x0001]], dtype=np.uint16)
    spec = TensorSpec(
        dtype="bfloat16", shape=bits.shape, data_ptr=bits.ctypes.data, data_len=bits.nbytes
    )
    first = np.ones(3, np.float32)
    other = TensorSpec(dtype="float32", shape=(3,), data_ptr=first.ctypes.data, data_len=12)
    serialize_file({"first": other, "x": spec}, path)
    x = io.load(path)["x"]
    assert x.shape == (2, 2)
    assert x.dtype in (ops.bfloat16, ops.float32)
    if device.supports_bfloat16():
        assert x.dtype == ops.bfloat16
    expected = (bits.astype(np.uint32) << 16).view(np.float32)
    assert (ops.numpy(x) == expected).all()


def test_bfloat16_is_written_as_bfloat16(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    io.save(path, {"x": ops.cast(ops.asarray([1.0, -2.5]), ops.bfloat16)})
    header_size = int.from_bytes(path.read_bytes()[:8], "little")
    header = json.loads(path.read_bytes()[8 : 8 + header_size])
    assert (header["x"]["dtype"], header["x"]["shape"]) == ("BF16", [2])
    assert np.frombuffer(path.read_bytes()[-4:], "<u2").tolist() == [0x3F80, 0xC020]


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file(ARRAYS, path)
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(SafetensorError):
        io.load(path)
