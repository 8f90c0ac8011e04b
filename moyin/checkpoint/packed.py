"""Packed weights in a checkpoint, read and written: what stands there for `<layer>.weight`.

    <layer>.weight_int8   I8 [outputs, inputs]
    <layer>.weight_int4   U8 [outputs, inputs / 2]: level + 8 of input 2j in the low half, of 2j + 1
                          in the high one
    <layer>.weight_scale  BF16 [outputs, groups]
    <layer>.weight_zero   BF16 [outputs, groups], with four bits alone

`model.quantize` says what they mean; config.json says that they are there, so that no other library
takes them for something else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from moyin.backend import Tensor, io, ops
from moyin.backend.protocol import GROUP
from moyin.checkpoint.shards import Entry
from moyin.models.quantization import Packed


def read(entries: Mapping[str, Entry], layer: str, kind: str) -> Packed:
    """One layer's. ValueError where one of the tensors is missing or of the wrong shape."""
    names = [f"{layer}.weight_{kind}", f"{layer}.weight_scale", f"{layer}.weight_zero"]
    names = names[: 2 if kind == "int8" else 3]
    tensors = []
    for name in names:
        if name not in entries:
            raise ValueError(f"{name} is missing beside {names[0]}: fetch the checkpoint again")
        tensors.append(io.load(entries[name].file, [name])[name])
    values = tensors[0]
    if kind == "int4":
        values = ops.asarray(_levels(ops.numpy(values)))
    outputs, inputs = values.shape
    groups = 1 if kind == "int8" else -(-inputs // GROUP)
    for name, tensor in zip(names[1:], tensors[1:], strict=True):
        if tuple(tensor.shape) != (outputs, groups):
            raise ValueError(f"{name} is {list(tensor.shape)}, it must be {[outputs, groups]}")
    return Packed(values, tensors[1], tensors[2] if kind == "int4" else None)


def tensors(packed: Packed, layer: str) -> dict[str, Tensor]:
    """What is written for one layer."""
    if packed.zeros is None:
        return {f"{layer}.weight_int8": packed.values, f"{layer}.weight_scale": packed.scales}
    return {
        f"{layer}.weight_int4": ops.asarray(_halves(ops.numpy(packed.values))),
        f"{layer}.weight_scale": packed.scales,
        f"{layer}.weight_zero": packed.zeros,
    }


def _halves(values_oi: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    levels = (values_oi + 8).astype(np.uint8)
    halves: np.ndarray[Any, Any] = levels[:, ::2] | (levels[:, 1::2] << 4)
    return halves


def _levels(halves: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    both = np.stack([halves & 15, halves >> 4], 2).reshape(len(halves), -1)
    levels: np.ndarray[Any, Any] = both.astype(np.int8) - np.int8(8)
    return levels
