"""Tensor functions on MindSpore. `moyin.backend.protocol.Ops` says what each one means."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import mindspore as ms
import numpy as np
from mindspore import Tensor, mint
from mindspore.mint.nn import functional as F

from moyin.backend.mindspore import kernels

DType: TypeAlias = Any  # mindspore.dtype.Type, which mypy cannot see
float32, float64, bfloat16, float16 = ms.float32, ms.float64, ms.bfloat16, ms.float16
int8, int16, int32, int64 = ms.int8, ms.int16, ms.int32, ms.int64
uint8, bool_ = ms.uint8, ms.bool_


# Making tensors and reading them
def asarray(x: Any, dtype: DType | None = None) -> Tensor:
    x = x if isinstance(x, Tensor) else Tensor(x)
    return x if dtype is None else cast(x, dtype)


def numpy(x: Tensor) -> np.ndarray[Any, Any]:
    if isinstance(x, np.ndarray):
        return x
    values: np.ndarray[Any, Any] = (x.astype(float32) if x.dtype == bfloat16 else x).asnumpy()
    return values


def zeros(shape: Sequence[int], dtype: DType = float32) -> Tensor:
    return mint.zeros(tuple(shape), dtype=dtype)


def ones(shape: Sequence[int], dtype: DType = float32) -> Tensor:
    return mint.ones(tuple(shape), dtype=dtype)


def full(shape: Sequence[int], value: float, dtype: DType = float32) -> Tensor:
    return kernels.full(tuple(shape), value, dtype=dtype)


def arange(stop: int, dtype: DType = int64) -> Tensor:
    return kernels.arange(stop, dtype=dtype)


def zeros_like(x: Tensor) -> Tensor:
    return kernels.zeros_like(x)


def cast(x: Tensor, dtype: DType) -> Tensor:
    return x.astype(dtype)


def stop_gradient(x: Tensor) -> Tensor:
    return ms.ops.stop_gradient(x)


# Shape
def reshape(x: Tensor, shape: Sequence[int]) -> Tensor:
    return mint.reshape(x, tuple(shape))


def permute(x: Tensor, axes: Sequence[int]) -> Tensor:
    return mint.permute(x, tuple(axes))


def transpose(x: Tensor, a: int, b: int) -> Tensor:
    return mint.transpose(x, a, b)


def concat(xs: Sequence[Tensor], axis: int) -> Tensor:
    return mint.cat(tuple(xs), axis)


def stack(xs: Sequence[Tensor], axis: int = 0) -> Tensor:
    return kernels.stack(tuple(xs), axis)


def split(x: Tensor, sizes: Sequence[int], axis: int) -> tuple[Tensor, ...]:
    return tuple(mint.split(x, list(sizes), axis))


def chunk(x: Tensor, n: int, axis: int) -> tuple[Tensor, ...]:
    return tuple(mint.chunk(x, n, axis))


def broadcast_to(x: Tensor, shape: Sequence[int]) -> Tensor:
    return mint.broadcast_to(x, tuple(shape))


def repeat(x: Tensor, n: int, axis: int) -> Tensor:
    return kernels.repeat_interleave(x, n, axis)


def pad(x: Tensor, widths: Sequence[tuple[int, int]], value: float = 0.0) -> Tensor:
    flat = [w for pair in reversed(widths) for w in pair]
    return kernels.pad(x, flat, value=value)


# Elementwise
def exp(x: Tensor) -> Tensor:
    return mint.exp(x)


def log(x: Tensor) -> Tensor:
    return mint.log(x)


def sqrt(x: Tensor) -> Tensor:
    return mint.sqrt(x)


def rsqrt(x: Tensor) -> Tensor:
    return mint.rsqrt(x)


def sin(x: Tensor) -> Tensor:
    return mint.sin(x)


def cos(x: Tensor) -> Tensor:
    return mint.cos(x)


def abs(x: Tensor) -> Tensor:
    return mint.abs(x)


def square(x: Tensor) -> Tensor:
    return mint.square(x)


def tanh(x: Tensor) -> Tensor:
    return mint.tanh(x)


def sigmoid(x: Tensor) -> Tensor:
    return mint.sigmoid(x)


def silu(x: Tensor) -> Tensor:
    return F.silu(x)


def gelu(x: Tensor, approximate: str = "none") -> Tensor:
    return kernels.gelu(x, approximate=approximate)


def clip(x: Tensor, low: float, high: float) -> Tensor:
    return mint.clamp(x, low, high)


def maximum(a: Tensor, b: Tensor) -> Tensor:
    return mint.maximum(a, b)


def minimum(a: Tensor, b: Tensor) -> Tensor:
    return mint.minimum(a, b)


def addcmul(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return x + a * b


def where(condition: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return mint.where(condition, a, b)


# Reductions, order, choice
def sum(x: Tensor, axis: int | None = None, keepdims: bool = False) -> Tensor:
    return mint.sum(x) if axis is None else mint.sum(x, axis, keepdims)


def mean(x: Tensor, axis: int | None = None, keepdims: bool = False) -> Tensor:
    return mint.mean(x) if axis is None else mint.mean(x, axis, keepdims)


def max(x: Tensor, axis: int, keepdims: bool = False) -> Tensor:
    return mint.amax(x, axis, keepdims)


def argmax(x: Tensor, axis: int) -> Tensor:
    return kernels.argmax(x, axis)


def cumsum(x: Tensor, axis: int) -> Tensor:
    return kernels.cumsum(x, axis)


def sort(x: Tensor, axis: int, descending: bool = False) -> tuple[Tensor, Tensor]:
    values, order = kernels.sort(x, dim=axis, descending=descending, stable=True)
    return values, cast(order, int64)


def take(x: Tensor, indices: Tensor, axis: int) -> Tensor:
    return kernels.index_select(x, axis, indices)


def gather(x: Tensor, indices: Tensor, axis: int) -> Tensor:
    return mint.gather(x, axis, indices)


def one_hot(indices: Tensor, n: int, dtype: DType = float32) -> Tensor:
    return cast(kernels.one_hot(indices, n), dtype)


# Products and layers
def matmul(a: Tensor, b: Tensor) -> Tensor:
    return mint.matmul(a, b)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return F.linear(x, weight, bias)


def embedding(indices: Tensor, weight: Tensor) -> Tensor:
    return kernels.embedding(indices, weight)


def conv2d(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, stride: int = 1, padding: int = 0
) -> Tensor:
    return kernels.conv2d(x, weight, bias, stride, padding)


def upsample_nearest(x: Tensor, factor: int) -> Tensor:
    return F.interpolate(x, scale_factor=float(factor), mode="nearest")


def softmax(x: Tensor, axis: int = -1) -> Tensor:
    return F.softmax(x, axis)


def log_softmax(x: Tensor, axis: int = -1) -> Tensor:
    return kernels.log_softmax(x, axis)


def layer_norm(
    x: Tensor, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    return kernels.layer_norm(x, x.shape[-1:], weight, bias, eps)


def rms_norm(x: Tensor, weight: Tensor, eps: float = 1e-5) -> Tensor:
    wide = cast(x, float32)
    scaled = wide * rsqrt(mean(square(wide), -1, keepdims=True) + eps)
    return cast(scaled, x.dtype) * weight


def group_norm(x: Tensor, groups: int, weight: Tensor, bias: Tensor, eps: float = 1e-5) -> Tensor:
    return F.group_norm(x, groups, weight, bias, eps)


def attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | None = None,
    bias: Tensor | None = None,
    causal: bool = False,
    scale: float | None = None,
) -> Tensor:
    heads, length, size = q.shape[1:]
    groups, seen = k.shape[1:3]
    if causal:
        mask = arange(seen)[None, :] <= arange(length)[:, None]
    # The query heads that share a key head are laid out as more queries of that one head.
    rows = reshape(q, (q.shape[0], groups, heads // groups * length, size))
    scale = 1 / math.sqrt(size) if scale is None else scale
    scores = matmul(rows * scale, transpose(k, 2, 3))
    scores = cast(reshape(scores, (q.shape[0], heads, length, seen)), float32)
    scores = scores if bias is None else scores + cast(bias, float32)
    if mask is not None:
        # The most negative number, not −∞, which would make a query that sees nothing NaN.
        scores = where(mask, scores, full((1,), -3.4e38))
    weights = softmax(scores)
    if mask is not None:
        weights = where(mask, weights, zeros((1,)))
    weights = reshape(cast(weights, q.dtype), (*rows.shape[:3], seen))
    return reshape(matmul(weights, v), (*q.shape[:3], v.shape[-1]))


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    likelihoods = log_softmax(cast(logits, float32), -1)
    return -gather(likelihoods, targets[:, None], 1)[:, 0]


def cache_write(cache: Tensor, start: int, value: Tensor) -> Tensor:
    cache[:, :, start : start + value.shape[2]] = value
    return cache


def image_layout(x: Tensor) -> Tensor:
    return x
