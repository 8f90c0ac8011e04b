"""Gradients on PyTorch, in the functional form that MindSpore has too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from moyin.backend.torch.nn import Module

no_grad = torch.no_grad


def value_and_grad(
    fn: Callable[..., tuple[Tensor, Any]], module: Module
) -> Callable[..., tuple[Tensor, Any, dict[str, Tensor]]]:
    """fn(*args) → (loss, aux) becomes (*args) → (loss, aux, gradients by parameter name)."""
    names = [n for n, p in module.named_parameters() if p.requires_grad]
    parameters = [p for p in module.parameters() if p.requires_grad]

    def run(*args: Any) -> tuple[Tensor, Any, dict[str, Tensor]]:
        loss, aux = fn(*args)
        grads = torch.autograd.grad(loss, parameters, allow_unused=True)
        found = {n: g for n, g in zip(names, grads, strict=True) if g is not None}
        return loss.detach(), aux, found

    return run
