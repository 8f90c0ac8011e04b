"""Tensor functions on PyTorch. `moyin.backend.protocol.Ops` says what each one means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from moyin.backend.torch.device import current
from moyin.backend.torch.fast import with_variants

DType = torch.dtype
float32, float64, bfloat16, float16 = torch.float32, torch.float64, torch.bfloat16, torch.float16
int8, int16, int32, int64 = torch.int8, torch.int16, torch.int32, torch.int64
uint8, bool_ = torch.uint8, torch.bool


# Making tensors and reading them
def asarray(x: Any, dtype: DType | None = None) -> Tensor:
    return torch.as_tensor(x, dtype=dtype, device=current())


def numpy(x: Tensor) -> np.ndarray[Any, Any]:
    if isinstance(x, np.ndarray):
        return x
    x = x.detach()
    return (x.float() if x.dtype == bfloat16 else x).cpu().numpy()


def zeros(shape: Sequence[int], dtype: DType = float32) -> Tensor:
    return full(shape, 0, dtype)


def ones(shape: Sequence[int], dtype: DType = float32) -> Tensor:
    return full(shape, 1, dtype)


def full(shape: Sequence[int], value: float, dtype: DType = float32) -> Tensor:
    return torch.full(tuple(shape), value, dtype=dtype, device=current())


def arange(stop: int, dtype: DType = int64) -> Tensor:
    return torch.arange(stop, dtype=dtype, device=current())


def zeros_like(x: Tensor) -> Tensor:
    return torch.zeros_like(x)


def cast(x: Tensor, dtype: DType) -> Tensor:
    return x.to(dtype)


def stop_gradient(x: Tensor) -> Tensor:
    return x.detach()


# Shape
def reshape(x: Tensor, shape: Sequence[int]) -> Tensor:
    return x.reshape(tuple(shape))


def permute(x: Tensor, axes: Sequence[int]) -> Tensor:
    return x.permute(tuple(axes))


def transpose(x: Tensor, a: int, b: int) -> Tensor:
    return x.transpose(a, b)


def concat(xs: Sequence[Tensor], axis: int) -> Tensor:
    return torch.cat(tuple(xs), dim=axis)


def stack(xs: Sequence[Tensor], axis: int = 0) -> Tensor:
    return torch.stack(tuple(xs), dim=axis)


def split(x: Tensor, sizes: Sequence[int], axis: int) -> tuple[Tensor, ...]:
    return torch.split(x, list(sizes), dim=axis)


def chunk(x: Tensor, n: int, axis: int) -> tuple[Tensor, ...]:
    return torch.chunk(x, n, dim=axis)


def broadcast_to(x: Tensor, shape: Sequence[int]) -> Tensor:
    return x.expand(tuple(shape))


def repeat(x: Tensor, n: int, axis: int) -> Tensor:
    return torch.repeat_interleave(x, n, dim=axis)


def pad(x: Tensor, widths: Sequence[tuple[int, int]], value: float = 0.0) -> Tensor:
    flat = [w for pair in reversed(widths) for w in pair]
    return F.pad(x, flat, value=value)


# Elementwise
def exp(x: Tensor) -> Tensor:
    return torch.exp(x)


def log(x: Tensor) -> Tensor:
    return torch.log(x)


def sqrt(x: Tensor) -> Tensor:
    return torch.sqrt(x)


def rsqrt(x: Tensor) -> Tensor:
    return torch.rsqrt(x)


def sin(x: Tensor) -> Tensor:
    return torch.sin(x)


def cos(x: Tensor) -> Tensor:
    return torch.cos(x)


def abs(x: Tensor) -> Tensor:
    return torch.abs(x)


def square(x: Tensor) -> Tensor:
    return torch.square(x)


def tanh(x: Tensor) -> Tensor:
    return torch.tanh(x)


def sigmoid(x: Tensor) -> Tensor:
    return torch.sigmoid(x)


def silu(x: Tensor) -> Tensor:
    return F.silu(x)


@with_variants
def gelu(x: Tensor, approximate: str = "none") -> Tensor:
    return F.gelu(x, approximate=approximate)


def clip(x: Tensor, low: float, high: float) -> Tensor:
    return torch.clamp(x, low, high)


def maximum(a: Tensor, b: Tensor) -> Tensor:
    return torch.maximum(a, b)


def minimum(a: Tensor, b: Tensor) -> Tensor:
    return torch.minimum(a, b)


def addcmul(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return torch.addcmul(x, a, b)


def where(condition: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return torch.where(condition, a, b)


# Reductions, order, choice
def sum(x: Tensor, axis: int | None = None, keepdims: bool = False) -> Tensor:
    return x.sum() if axis is None else x.sum(dim=axis, keepdim=keepdims)


def mean(x: Tensor, axis: int | None = None, keepdims: bool = False) -> Tensor:
    return x.mean() if axis is None else x.mean(dim=axis, keepdim=keepdims)


def max(x: Tensor, axis: int, keepdims: bool = False) -> Tensor:
    return x.amax(dim=axis, keepdim=keepdims)


def argmax(x: Tensor, axis: int) -> Tensor:
    return x.argmax(dim=axis)


def cumsum(x: Tensor, axis: int) -> Tensor:
    return x.cumsum(dim=axis)


def sort(x: Tensor, axis: int, descending: bool = False) -> tuple[Tensor, Tensor]:
    values, order = torch.sort(x, dim=axis, descending=descending, stable=True)
    return values, order


def take(x: Tensor, indices: Tensor, axis: int) -> Tensor:
    return torch.index_select(x, axis, indices)


def gather(x: Tensor, indices: Tensor, axis: int) -> Tensor:
    return torch.gather(x, axis, indices)


def one_hot(indices: Tensor, n: int, dtype: DType = float32) -> Tensor:
    return F.one_hot(indices, n).to(dtype)


# Products and layers
def matmul(a: Tensor, b: Tensor) -> Tensor:
    return torch.matmul(a, b)


@with_variants
def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return F.linear(x, weight, bias)


def embedding(indices: Tensor, weight: Tensor) -> Tensor:
    return F.embedding(indices, weight)


def conv2d(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, stride: int = 1, padding: int = 0
) -> Tensor:
    return F.conv2d(x, weight, bias, stride=stride, padding=padding)


def upsample_nearest(x: Tensor, factor: int) -> Tensor:
    return F.interpolate(x, scale_factor=factor, mode="nearest")


def softmax(x: Tensor, axis: int = -1) -> Tensor:
    return F.softmax(x, dim=axis)


def log_softmax(x: Tensor, axis: int = -1) -> Tensor:
    return F.log_softmax(x, dim=axis)


@with_variants
def layer_norm(
    x: Tensor, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], weight, bias, eps)


def rms_norm(x: Tensor, weight: Tensor, eps: float = 1e-5) -> Tensor:
    return F.rms_norm(x, x.shape[-1:], weight, eps)


def group_norm(x: Tensor, groups: int, weight: Tensor, bias: Tensor, eps: float = 1e-5) -> Tensor:
    return F.group_norm(x, groups, weight, bias, eps)


@with_variants
def attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | None = None,
    bias: Tensor | None = None,
    causal: bool = False,
    scale: float | None = None,
) -> Tensor:
    extra = mask if bias is None else bias
    if mask is not None and bias is not None:
        extra = bias.masked_fill(~mask, float("-inf"))
    return F.scaled_dot_product_attention(
        q,
        k,
        v,
        attn_mask=extra,
        is_causal=causal,
        scale=scale,
        enable_gqa=q.shape[1] != k.shape[1],
    )


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(logits.float(), targets, reduction="none")


def cache_write(cache: Tensor, start: int, value: Tensor) -> Tensor:
    cache[:, :, start : start + value.shape[2]] = value
    return cache


def image_layout(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)
