"""Tensors to and from safetensors files on MindSpore, and rows to and from MindRecord files.

Nothing is ever unpickled.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mindspore import Tensor
from safetensors import TensorSpec, safe_open, serialize_file

from moyin.backend.mindspore import device, ops

INDEX = ".db"  # the end of the name of the file that stands beside a MindRecord file


def load(path: Path, names: list[str] | None = None) -> dict[str, Tensor]:
    """The tensors of one file, or those of `names`. bf16 becomes float32 on a CPU."""
    out = {}
    with safe_open(str(path), framework="np") as f:
        for n in names if names is not None else f.keys():
            if f.get_slice(n).get_dtype() == "BF16":
                out[n] = _bfloat16(path, n)
            else:
                out[n] = Tensor(f.get_tensor(n))
    return out


def _bfloat16(path: Path, name: str) -> Tensor:
    # NumPy has no bf16, so the bits are read here (`safe_open` has checked the header): they are
    # the upper half of a float32's.
    with path.open("rb") as f:
        size = int.from_bytes(f.read(8), "little")
        entry = json.loads(f.read(size))[name]
        start, stop = entry["data_offsets"]
        f.seek(8 + size + start)
        bits = np.frombuffer(f.read(stop - start), "<u2").astype(np.uint32) << 16
    x = Tensor(bits.view(np.float32).reshape(entry["shape"]))
    return ops.cast(x, ops.bfloat16) if device.supports_bfloat16() else x


def save(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write one file. `path` appears whole or not at all only if the caller renames it."""
    kept = {n: _bits(x) for n, x in tensors.items()}
    specs = {
        n: TensorSpec(dtype=kind, shape=x.shape, data_ptr=x.ctypes.data, data_len=x.nbytes)
        for n, (kind, x) in kept.items()
    }
    serialize_file(specs, str(path), metadata=metadata)


def _bits(x: Tensor) -> tuple[str, np.ndarray[Any, Any]]:
    values = np.ascontiguousarray(ops.numpy(x)).reshape(x.shape)
    if x.dtype != ops.bfloat16:
        return values.dtype.name, values
    return "bfloat16", (values.view(np.uint32) >> 16).astype(np.uint16)


def record_kinds(path: Path) -> tuple[dict[str, str], int]:
    """The fields of a MindRecord file with their types, and its rows. ValueError if damaged."""
    from mindspore.mindrecord import FileReader

    try:
        reader = FileReader(str(path))
        kinds = {name: field["type"] for name, field in reader.schema().items()}
        count = int(reader.len())
        reader.close()
    except RuntimeError as error:
        raise ValueError(str(error).strip()) from error
    return kinds, count


def read_records(
    path: Path, names: Sequence[str], first: int, last: int
) -> Iterator[dict[str, Any]]:
    """Rows `first` to `last` - 1 as Python's own types, or arrays. ValueError if damaged."""
    from mindspore.dataset import MindDataset, SequentialSampler

    kinds, _ = record_kinds(path)
    part = SequentialSampler(first, last - first)
    try:
        rows = MindDataset(str(path), list(names), num_parallel_workers=1, sampler=part)
        for row in rows.create_dict_iterator(num_epochs=1, output_numpy=True):
            yield {name: _plain(row[name], kinds[name]) for name in names}
    except RuntimeError as error:
        raise ValueError(str(error).strip()) from error


def _plain(value: np.ndarray[Any, Any], kind: str) -> Any:
    # NumPy's own bytes would lose the zeros at their end.
    if kind == "bytes":
        return value.tobytes()
    return str(value) if kind == "string" else value.item() if value.size == 1 else value


def write_records(path: Path, kinds: Mapping[str, str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows of bytes, string, int64 and float64. `path` is there whole or not at all."""
    from mindspore.mindrecord import FileWriter

    # As arrays, floats are stored by their bits; as scalars by decimal digits, without infinity.
    schema = {
        name: {"type": kind} | ({"shape": [1]} if kind == "float64" else {})
        for name, kind in kinds.items()
    }
    partial = path.with_name(f"{path.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        writer = FileWriter(str(partial / path.name), shard_num=1)
        writer.add_schema(schema)
        floats = [name for name, kind in kinds.items() if kind == "float64"]
        writer.write_raw_data(
            [{**row, **{n: np.array([row[n]], np.float64) for n in floats}} for row in rows]
        )
        writer.commit()
        for name in (path.name + INDEX, path.name):
            (partial / name).replace(path.with_name(name))
    except RuntimeError as error:
        raise OSError(f"{path} cannot be written: {error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
