"""Gradients on MindSpore, which are functional by nature."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import mindspore as ms
from mindspore import Tensor

from moyin.backend.mindspore import distributed
from moyin.backend.mindspore.nn import Module, named_parameters


@contextmanager
def no_grad() -> Iterator[None]:
    """Within it nothing is recorded: `with no_grad():`, or a decorator."""
    with ms._no_grad():
        yield


def value_and_grad(
    fn: Callable[..., tuple[Tensor, Any]], module: Module, names: Sequence[str] | None = None
) -> Callable[..., tuple[Tensor, Any, dict[str, Tensor]]]:
    """fn(*args) → (loss, aux) becomes (*args) → (loss, aux, gradients by parameter name).

    names: the parameters to differentiate by; None for all. The gradient is zero for those that
    the loss does not depend on. Of several processes it is the mean.
    """
    every = named_parameters(module)
    names = list(every) if names is None else list(names)
    parameters = [every[n] for n in names]

    def run(*args: Any) -> tuple[Tensor, Any, dict[str, Tensor]]:
        kept: list[Any] = []

        # No arguments and one tensor out: whatever else fn takes and gives stays plain Python.
        def loss_of() -> Tensor:
            loss, aux = fn(*args)
            kept.append(aux)
            return loss

        loss, grads = ms.value_and_grad(loss_of, None, parameters)()
        return loss, kept[0], dict(zip(names, _mean(grads), strict=True))

    return run


def _mean(gradients: Sequence[Tensor]) -> list[Tensor]:
    """Of every process's gradients, on all of them."""
    if distributed.world_size() == 1:
        return list(gradients)
    total = ms.ops.AllReduce()
    return [total(g) / distributed.world_size() for g in gradients]
