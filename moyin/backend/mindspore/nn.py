"""Layers on MindSpore. `Module` is a `Cell` whose `construct` calls `forward`.

Weights may be kept in another dtype than the activations (fp32 masters, bf16 work): every
layer casts its weights to the dtype of its input, and nothing else is ever cast implicitly.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from mindspore import DeviceCtx, Parameter, Tensor, nn

from moyin.backend.mindspore import ops, random
from moyin.backend.protocol import GROUP

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


class Module(nn.Cell):  # type: ignore[misc]
    """The base of every network: subclasses write `forward`, callers call the module."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    def construct(self, *args: Any, **kwargs: Any) -> Any:
        return self.forward(*args, **kwargs)


class ModuleList(nn.CellList):  # type: ignore[misc]
    """Modules in order, named 0, 1, …: to iterate over, index and take the length of."""

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        super().__init__(list(modules))


def _normal(*shape: int, std: float) -> Parameter:
    return Parameter(random.device_normal(shape) * std)


def _as(weight: Tensor | None, x: Tensor) -> Any:
    return None if weight is None else ops.cast(weight, x.dtype)


class Linear(Module):
    """x [..., inputs] → [..., outputs]."""

    def __init__(self, inputs: int, outputs: int, bias: bool = True) -> None:
        super().__init__()
        self.weight = _normal(outputs, inputs, std=1 / math.sqrt(inputs))
        self.bias = Parameter(ops.zeros((outputs,))) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        return ops.linear(x, _as(self.weight, x), _as(self.bias, x))


class Embedding(Module):
    """ids [...] → [..., size]."""

    def __init__(self, count: int, size: int, std: float = 0.02) -> None:
        super().__init__()
        self.weight = _normal(count, size, std=std)

    def forward(self, ids: Tensor) -> Tensor:
        return ops.embedding(ids, self.weight)


class Conv2d(Module):
    """x [B, C, H, W] → [B, outputs, H', W']."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, padding: int = 0
    ) -> None:
        super().__init__()
        self.stride, self.padding = stride, padding
        std = 1 / (kernel * math.sqrt(inputs))
        self.weight = _normal(outputs, inputs, kernel, kernel, std=std)
        self.bias = Parameter(ops.zeros((outputs,)))

    def forward(self, x: Tensor) -> Tensor:
        return ops.conv2d(x, _as(self.weight, x), _as(self.bias, x), self.stride, self.padding)


class PackedLinear(Module):
    """x [..., inputs] → [..., outputs]; one byte a weight, widened in the product."""

    def __init__(
        self, values: Tensor, scales: Tensor, zeros: Tensor | None, bias: Tensor | None
    ) -> None:
        super().__init__()
        self.outputs, self.inputs = values.shape
        self.bits = 8 if zeros is None else 4
        self.values, self.scales, self.zeros, self.bias = values, scales, zeros, bias

    def forward(self, x: Tensor) -> Tensor:
        weight = ops.cast(self.values, x.dtype) * self._spread(self.scales, x)
        if self.zeros is not None:
            weight = weight + self._spread(self.zeros, x)
        return ops.linear(x, weight, _as(self.bias, x))

    def _spread(self, by_group: Tensor, x: Tensor) -> Tensor:
        """[outputs, groups] → one for every input."""
        size = self.inputs if self.bits == 8 else GROUP
        return ops.repeat(_as(by_group, x), size, 1)[:, : self.inputs]


class LayerNorm(Module):
    """Over the last axis; without weights where `affine` is false."""

    def __init__(self, size: int, eps: float = 1e-5, affine: bool = True) -> None:
        super().__init__()
        self.eps = eps
        self.weight = Parameter(ops.ones((size,))) if affine else None
        self.bias = Parameter(ops.zeros((size,))) if affine else None

    def forward(self, x: Tensor) -> Tensor:
        return ops.layer_norm(x, _as(self.weight, x), _as(self.bias, x), self.eps)


class RMSNorm(Module):
    """Over the last axis."""

    def __init__(self, size: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.weight = Parameter(ops.ones((size,)))

    def forward(self, x: Tensor) -> Tensor:
        return ops.rms_norm(x, _as(self.weight, x), self.eps)


class GroupNorm(Module):
    """x [B, C, H, W], each of `groups` groups of channels apart."""

    def __init__(self, groups: int, channels: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.groups, self.eps = groups, eps
        self.weight = Parameter(ops.ones((channels,)))
        self.bias = Parameter(ops.zeros((channels,)))

    def forward(self, x: Tensor) -> Tensor:
        return ops.group_norm(x, self.groups, _as(self.weight, x), _as(self.bias, x), self.eps)


def named_parameters(module: Module) -> dict[str, Parameter]:
    """All parameters by their dotted names, in the order of construction."""
    return dict(module.parameters_and_names())


def set_parameter(parameter: Parameter, value: Tensor) -> None:
    """Overwrite a parameter's value (same shape), outside any gradient."""
    parameter.copy_(ops.cast(value, parameter.dtype))


def empty_weights() -> AbstractContextManager[Any]:
    """A context in which modules are built without weights, to be given by `assign`."""
    context: AbstractContextManager[Any] = DeviceCtx("meta")
    return context


def assign(module: Module, tensors: Mapping[str, Tensor]) -> None:
    """Make `tensors` the parameters of these dotted names, in the tensors' own dtype."""
    owners = dict(module.cells_and_names())
    for name, tensor in tensors.items():
        owner, _, leaf = name.rpartition(".")
        setattr(owners[owner], leaf, Parameter(tensor, name=name))


def submodule(module: Module, name: str) -> Any:
    """The module of this dotted name within another; None where there is none."""
    return dict(module.cells_and_names()).get(name)


def replace(module: Module, name: str, new: Module) -> None:
    """Put another module in the place of this dotted name."""
    owner, _, leaf = name.rpartition(".")
    within: Any = submodule(module, owner)
    if leaf.isdigit():
        within[int(leaf)] = new
    else:
        setattr(within, leaf, new)


def compile_blocks(blocks: Iterable[Module]) -> None:
    """Nothing: in PyNative mode there is no graph to compile."""


def recompute_blocks(blocks: Iterable[Module]) -> None:
    """Keep of each block its arguments alone, and compute it again for its gradient."""
    for block in blocks:
        block.recompute(use_reentrant=False)
