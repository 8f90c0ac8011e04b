"""Layers whose weights stay on disk, for what is used once an image or a few rows at a time."""

from __future__ import annotations

from typing import Any

import numpy as np

from moyin.backend import Tensor, io, nn, ops
from moyin.checkpoint.shards import Entry

_DTYPES = {"BF16": np.uint16, "F32": np.float32, "F16": np.float16}


class LazyEmbedding(nn.Module):
    """ids [...] → [..., size] float32; only the rows that are needed are read."""

    def __init__(self, entry: Entry) -> None:
        super().__init__()
        count, size = entry.shape
        self.dtype = entry.dtype
        self.table = np.memmap(
            entry.file, _DTYPES[entry.dtype], "r", offset=entry.start, shape=(count, size)
        )

    def forward(self, ids: Tensor) -> Tensor:
        distinct, inverse = np.unique(ops.numpy(ids), return_inverse=True)
        rows: Any = np.asarray(self.table[distinct])
        if self.dtype == "BF16":
            # A bf16 is the upper half of a float32.
            wide = np.left_shift(rows, 16, dtype=np.uint32)
            rows = np.frombuffer(wide.tobytes(), np.float32).reshape(rows.shape)
        embedded = rows.astype(np.float32)[inverse.reshape(-1)]
        return ops.asarray(embedded.reshape(*ids.shape, -1))


class LazyLinear(nn.Module):
    """x [..., inputs] → [..., outputs]; every call reads the weights anew."""

    def __init__(self, weight: Entry, bias: Entry, names: tuple[str, str]) -> None:
        super().__init__()
        self.outputs, self.inputs = weight.shape
        self.entries, self.names = (weight, bias), names

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = (
            ops.cast(io.load(entry.file, [name])[name], x.dtype)
            for entry, name in zip(self.entries, self.names, strict=True)
        )
        return ops.linear(x, weight, bias)
