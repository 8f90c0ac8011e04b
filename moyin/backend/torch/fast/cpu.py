"""Variants for the CPU (measured with PyTorch 2.13)."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from moyin.backend.protocol import GROUP
from moyin.backend.torch import int4_layout
from moyin.backend.torch.fast.registry import Variant

GELU_1 = 2 * math.sqrt(2 / math.pi)  # Hendrycks and Gimpel 2016, the tanh as a sigmoid
GELU_3 = 0.044715 * GELU_1
MASKED = -1e30  # added to the score of a masked key
# Up to this many rows the integer kernels are faster than unpacking (with 4096 inputs).
KERNEL_ROWS = 8


def _gelu_applies(x: Tensor, approximate: str = "none") -> bool:
    return approximate == "tanh" and torch.compiler.is_compiling()


def _gelu(x: Tensor, approximate: str = "none") -> Tensor:
    """The tanh approximation through a sigmoid, which compiles to half the time of a tanh."""
    y = x.float()
    return (y * torch.sigmoid(y * (GELU_1 + GELU_3 * y * y))).to(x.dtype)


def _linear_applies(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> bool:
    """One row in bf16, without gradient."""
    if x.dtype != torch.bfloat16 or x.numel() != x.shape[-1]:
        return False
    return not torch.is_grad_enabled() and not torch.compiler.is_compiling()


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Matrix times vector: the product of matrices takes up to twice as long."""
    y = torch.mv(weight, x.flatten())
    return (y if bias is None else y + bias).view(*x.shape[:-1], -1)


def _layer_norm_applies(
    x: Tensor, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> bool:
    """bf16 weights with gradient."""
    if weight is None or bias is None or weight.dtype != torch.bfloat16:
        return False
    return weight.requires_grad and torch.is_grad_enabled()


def _layer_norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float = 1e-5) -> Tensor:
    """Scale and shift apart from the norm, for an exact gradient.

    The fused kernel sums the weight's gradient in bf16: over 4096 rows it is a quarter off.
    """
    return torch.addcmul(bias, F.layer_norm(x, x.shape[-1:], eps=eps), weight)


def _attention_applies(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | None = None,
    bias: Tensor | None = None,
    causal: bool = False,
    scale: float | None = None,
) -> bool:
    """With gradient. Causal attention, which leaves out half of the scores, is faster fused."""
    return not causal and q.requires_grad and torch.is_grad_enabled()


def _attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | None = None,
    bias: Tensor | None = None,
    causal: bool = False,
    scale: float | None = None,
) -> Tensor:
    """Attention that stores its scores: with its gradient it takes from a third of the fused
    kernel's time to as long."""
    b, heads, length, size = q.shape
    groups, keys = k.shape[1:3]
    # Heads that share their keys become the rows of one product: nothing is repeated.
    rows = (q * (scale or size**-0.5)).reshape(b, groups, -1, size)
    scores = (rows @ k.transpose(2, 3)).view(b, heads, length, keys)
    if bias is not None:
        scores = scores + bias
    if mask is not None:
        scores += torch.zeros_like(mask, dtype=q.dtype).masked_fill(~mask, MASKED)
    weights = torch.softmax(scores, -1).view(b, groups, -1, keys)
    y = (weights @ v).view(b, heads, length, v.shape[3])
    # A query whose keys are all masked gets zeros.
    return y if mask is None else y.masked_fill(~mask.any(-1, keepdim=True), 0)


def _few_rows(rows: Tensor) -> bool:
    """A few rows in bf16; in float32 the kernels are slower than unpacking."""
    return len(rows) <= KERNEL_ROWS and rows.dtype == torch.bfloat16


def _int8_applies(rows_ri: Tensor, values_oi: Tensor, scales_o: Tensor) -> bool:
    return _few_rows(rows_ri)


def _int8_product(rows_ri: Tensor, values_oi: Tensor, scales_o: Tensor) -> Tensor:
    y: Tensor = torch.ops.aten._weight_int8pack_mm(rows_ri, values_oi, scales_o.to(rows_ri.dtype))
    return y


def _int4_applies(rows_ri: Tensor, values: Tensor, scales: Tensor) -> bool:
    return _few_rows(rows_ri) and _int4_kernel_fits()


def _int4_product(rows_ri: Tensor, values: Tensor, scales: Tensor) -> Tensor:
    flat = values.view(-1, rows_ri.shape[1] // 2)
    kernel: Any = torch.ops.aten._weight_int4pack_mm_for_cpu
    y: Tensor = kernel(rows_ri, flat, GROUP, scales.to(rows_ri.dtype))
    return y


@lru_cache(maxsize=1)
def _int4_kernel_fits() -> bool:
    """Whether PyTorch's kernel reads what `int4_layout.pack` writes: it depends on the CPU."""
    block = int4_layout.BLOCK
    values = (torch.arange(2 * block * GROUP) * 7 % 16).view(2 * block, GROUP)
    try:
        packed = torch.ops.aten._convert_weight_to_int4pack_for_cpu(values.to(torch.int32), 1)
    except RuntimeError:
        return False
    ours = int4_layout.pack((values - 8).to(torch.int8))
    return bool(torch.equal(packed.flatten(), ours.flatten()))


VARIANTS: dict[str, Variant] = {
    "attention": Variant(_attention_applies, _attention),
    "gelu": Variant(_gelu_applies, _gelu),
    "int4_product": Variant(_int4_applies, _int4_product),
    "int8_product": Variant(_int8_applies, _int8_product),
    "layer_norm": Variant(_layer_norm_applies, _layer_norm),
    "linear": Variant(_linear_applies, _linear),
}
