"""Layers on PyTorch. `Module` is torch.nn.Module itself, so its tools work untouched.

Weights may be kept in another dtype than the activations (fp32 masters, bf16 work): every
layer casts its weights to the dtype of its input, and nothing else is ever cast implicitly.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module, ModuleList, Parameter

from moyin.backend.torch import ops
from moyin.backend.torch.packed import PackedLinear

__all__ = [
    "Conv2d",
    "Embedding",
    "GroupNorm",
    "LayerNorm",
    "Linear",
    "Module",
    "ModuleList",
    "PackedLinear",
    "Parameter",
    "RMSNorm",
    "assign",
    "compile_blocks",
    "empty_weights",
    "named_parameters",
    "recompute_blocks",
    "replace",
    "set_parameter",
    "submodule",
]


_EMPTY = ContextVar("empty", default=False)


def _draw(weight: Tensor, std: float) -> None:
    if not _EMPTY.get():
        torch.nn.init.normal_(weight, std=std)


def _as(weight: Tensor | None, x: Tensor) -> Any:
    return None if weight is None else weight.to(x.dtype)


class Linear(Module):
    """x [..., inputs] → [..., outputs]."""

    def __init__(self, inputs: int, outputs: int, bias: bool = True) -> None:
        super().__init__()
        self.weight = Parameter(torch.empty(outputs, inputs))
        self.bias = Parameter(torch.zeros(outputs)) if bias else None
        _draw(self.weight, 1 / math.sqrt(inputs))

    def forward(self, x: Tensor) -> Tensor:
        return ops.linear(x, _as(self.weight, x), _as(self.bias, x))


class Embedding(Module):
    """ids [...] → [..., size]."""

    def __init__(self, count: int, size: int, std: float = 0.02) -> None:
        super().__init__()
        self.weight = Parameter(torch.empty(count, size))
        _draw(self.weight, std)

    def forward(self, ids: Tensor) -> Tensor:
        return ops.embedding(ids, self.weight)


class Conv2d(Module):
    """x [B, C, H, W] → [B, outputs, H', W']."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, padding: int = 0
    ) -> None:
        super().__init__()
        self.stride, self.padding = stride, padding
        self.weight = Parameter(torch.empty(outputs, inputs, kernel, kernel))
        self.bias = Parameter(torch.zeros(outputs))
        _draw(self.weight, 1 / (kernel * math.sqrt(inputs)))

    def forward(self, x: Tensor) -> Tensor:
        return ops.conv2d(x, _as(self.weight, x), _as(self.bias, x), self.stride, self.padding)


class LayerNorm(Module):
    """Over the last axis; without weights where `affine` is false."""

    def __init__(self, size: int, eps: float = 1e-5, affine: bool = True) -> None:
        super().__init__()
        self.eps = eps
        self.weight = Parameter(torch.ones(size)) if affine else None
        self.bias = Parameter(torch.zeros(size)) if affine else None

    def forward(self, x: Tensor) -> Tensor:
        return ops.layer_norm(x, _as(self.weight, x), _as(self.bias, x), self.eps)


class RMSNorm(Module):
    """Over the last axis."""

    def __init__(self, size: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.weight = Parameter(torch.ones(size))

    def forward(self, x: Tensor) -> Tensor:
        return ops.rms_norm(x, _as(self.weight, x), self.eps)


class GroupNorm(Module):
    """x [B, C, H, W], each of `groups` groups of channels apart."""

    def __init__(self, groups: int, channels: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.groups, self.eps = groups, eps
        self.weight = Parameter(torch.ones(channels))
        self.bias = Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        return ops.group_norm(x, self.groups, _as(self.weight, x), _as(self.bias, x), self.eps)


def named_parameters(module: Module) -> dict[str, Parameter]:
    """All parameters by their dotted names, in the order of construction."""
    return dict(module.named_parameters())


def set_parameter(parameter: Parameter, value: Tensor) -> None:
    """Overwrite a parameter's value (same shape), outside any gradient; not in `empty_weights`."""
    if _EMPTY.get():
        return
    with torch.no_grad():
        parameter.copy_(value)


@contextmanager
def empty_weights() -> Iterator[None]:
    """A context in which modules are built without drawing weights, to be given by `assign`.

    Not on the meta device: arithmetic there imports PyTorch's compiler, which takes seconds.
    """
    token = _EMPTY.set(True)
    try:
        yield
    finally:
        _EMPTY.reset(token)


def assign(module: Module, tensors: Mapping[str, Tensor]) -> None:
    """Make `tensors` the parameters of these dotted names, in the tensors' own dtype."""
    for name, tensor in tensors.items():
        owner, _, leaf = name.rpartition(".")
        setattr(module.get_submodule(owner), leaf, Parameter(tensor))


def submodule(module: Module, name: str) -> Any:
    """The module of this dotted name within another; None where there is none."""
    try:
        return module.get_submodule(name)
    except AttributeError:
        return None


def replace(module: Module, name: str, new: Module) -> None:
    """Put another module in the place of this dotted name."""
    module.set_submodule(name, new)


def compile_blocks(blocks: Iterable[Module]) -> None:
    """Compile each block in place, once for every shape: code for any shape is slower.

    Alike blocks share the work, which their first calls do.

    Convolutions with their layout of channels last are not for it: the gradients of a compiled
    autoencoder were wrong (PyTorch 2.13 on a CPU).
    """
    for block in blocks:
        block.compile(dynamic=False)


def recompute_blocks(blocks: Iterable[Any]) -> None:
    """Keep of each block its arguments alone, and compute it again for its gradient.

    Chen et al. 2016; wrapped within the call, so that hooks on the block see it once.
    """
    from torch.utils.checkpoint import checkpoint

    for block in blocks:
        block.forward = partial(
            checkpoint, block.forward, use_reentrant=False, preserve_rng_state=False
        )
