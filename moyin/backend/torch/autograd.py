"""Gradients on PyTorch, in the functional form that MindSpore has too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from moyin.backend.torch.distributed import sharded
from moyin.backend.torch.nn import Module

no_grad = torch.no_grad


def value_and_grad(
    fn: Callable[..., tuple[Tensor, Any]], module: Module, names: Sequence[str] | None = None
) -> Callable[..., tuple[Tensor, Any, dict[str, Tensor]]]:
    """fn(*args) → (loss, aux) becomes (*args) → (loss, aux, gradients by parameter name).

    names: the parameters to differentiate by; None for all. The gradient is zero for those that
    the loss does not depend on. Where `distributed.shard` shared the parameters out, it is the mean
    over the processes, each of which gets its part.
    """
    every = dict(module.named_parameters())
    names = list(every) if names is None else list(names)
    parameters = [every[n] for n in names]
    for n, parameter in every.items():  # for the others, nothing has to be kept
        parameter.requires_grad_(n in names)

    def run(*args: Any) -> tuple[Tensor, Any, dict[str, Tensor]]:
        loss, aux = fn(*args)
        if any(map(sharded, parameters)):
            grads = _left_behind(loss, parameters)
        else:
            grads = torch.autograd.grad(loss, parameters, materialize_grads=True)
        return loss.detach(), aux, dict(zip(names, grads, strict=True))

    return run


def _left_behind(loss: Tensor, parameters: Sequence[Any]) -> tuple[Tensor, ...]:
    """The gradients that FSDP2 leaves at the parameters of which each process has its part."""
    loss.backward()  # type: ignore[no-untyped-call]
    grads = tuple(torch.zeros_like(p) if p.grad is None else p.grad for p in parameters)
    for parameter in parameters:
        parameter.grad = None
    return grads
