"""Gradients on MindSpore, which are functional by nature."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import mindspore as ms
from mindspore import Tensor

from moyin.backend.mindspore.nn import Module, named_parameters


@contextmanager
def no_grad() -> Iterator[None]:
    """Within it nothing is recorded: `with no_grad():`, or a decorator."""
    with ms._no_grad():
        yield


def value_and_grad(
    fn: Callable[..., tuple[Tensor, Any]], module: Module
) -> Callable[..., tuple[Tensor, Any, dict[str, Tensor]]]:
    """fn(*args) → (loss, aux) becomes (*args) → (loss, aux, gradients by parameter name)."""
    parameters = {n: p for n, p in named_parameters(module).items() if p.requires_grad}

    def run(*args: Any) -> tuple[Tensor, Any, dict[str, Tensor]]:
        kept: list[Any] = []

        # No arguments and one tensor out: whatever else fn takes and gives stays plain Python.
        def loss_of() -> Tensor:
            loss, aux = fn(*args)
            kept.append(aux)
            return loss

        loss, grads = ms.value_and_grad(loss_of, None, list(parameters.values()))()
        return loss, kept[0], dict(zip(parameters, grads, strict=True))

    return run
