"""Which of MindSpore's two sets of functions computes what: decided here and nowhere else.

`mint` is written for Ascend, and where it has a CPU kernel too, `moyin.backend.mindspore.ops`
calls it directly, so that what is tested is what runs there. Below are the functions for which
it has none: on a CPU their elder namesakes in `ops` stand in.
"""

from __future__ import annotations

from typing import Any

from mindspore import Tensor, mint, ops
from mindspore.mint.nn import functional as F

from moyin.backend.mindspore import device


def _conv2d(x: Tensor, weight: Tensor, bias: Any, stride: int, padding: int) -> Any:
    return ops.conv2d(x, weight, bias, stride, "pad", padding)


def _embedding(indices: Tensor, weight: Tensor) -> Any:
    return ops.gather(weight, indices, 0)


def _layer_norm(x: Tensor, shape: tuple[int], weight: Any, bias: Any, eps: float) -> Any:
    weight = ops.ones(shape, x.dtype) if weight is None else weight
    bias = ops.zeros(shape, x.dtype) if bias is None else bias
    return ops.LayerNorm(-1, -1, eps)(x, weight, bias)[0]


def _sort(x: Tensor, *, dim: int, descending: bool, stable: bool) -> Any:
    return ops.sort(x, dim, descending)


def _pick(on_ascend: Any, on_cpu: Any) -> Any:
    return on_ascend if device.is_accelerator() else on_cpu


arange = _pick(mint.arange, ops.arange)
argmax = _pick(mint.argmax, ops.argmax)
conv2d = _pick(F.conv2d, _conv2d)
cumsum = _pick(mint.cumsum, ops.cumsum)
embedding = _pick(F.embedding, _embedding)
full = _pick(mint.full, ops.full)
gelu = _pick(F.gelu, ops.gelu)
index_select = _pick(mint.index_select, ops.index_select)
layer_norm = _pick(F.layer_norm, _layer_norm)
log_softmax = _pick(F.log_softmax, ops.log_softmax)
one_hot = _pick(F.one_hot, ops.one_hot)
pad = _pick(F.pad, ops.pad)
rand = _pick(mint.rand, ops.rand)
randn = _pick(mint.randn, ops.randn)
repeat_interleave = _pick(mint.repeat_interleave, ops.repeat_interleave)
sort = _pick(mint.sort, _sort)
stack = _pick(mint.stack, ops.stack)
zeros_like = _pick(mint.zeros_like, ops.zeros_like)
