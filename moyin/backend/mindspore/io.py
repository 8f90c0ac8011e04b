"""Tensors to and from safetensors files on MindSpore. Nothing is ever unpickled."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from mindspore import Tensor
from safetensors import TensorSpec, safe_open, serialize_file

from moyin.backend.mindspore import device, ops


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
