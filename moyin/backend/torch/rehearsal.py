"""What a step takes, and would take without computing it: tensors without memory walk through."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry
from torch.utils.weak import WeakIdKeyDictionary

from moyin.backend.torch import fast, nn


def _forward(query: Sequence[int], key: Sequence[int], *_: Any, **__: Any) -> int:
    return 2 * 2 * prod(query) * key[-2]


def _backward(_: Any, query: Sequence[int], key: Sequence[int], *__: Any, **___: Any) -> int:
    return 5 * 2 * prod(query) * key[-2]  # the scores are made again


# Operations of what PyTorch does not count, by the shapes of its arguments.
ATTENTION: dict[Any, Callable[..., int]] = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _forward,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: _backward,
}
OTHER, GRADIENT, COPY = range(3)


def rehearse(
    make: Callable[[], Callable[[], Mapping[str, Tensor]]], fused: bool
) -> tuple[float, np.ndarray[Any, Any]]:
    """See `protocol.Device`."""
    with (
        fast.plain_only(fused),
        FakeTensorMode(allow_non_fake_inputs=True),
        nn.empty_weights(),
        _Watch() as watch,
    ):
        step = make()
        watch.events.clear()
        gradients = step()
        return float(watch.flops), watch.moments(gradients)


def count_flops(fn: Callable[[], object]) -> float:
    """See `protocol.Device`."""
    with _Count() as count:
        fn()
    return float(count.flops)


class _Count(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Floating-point operations of the products and convolutions that are made under it.

    FlopCounterMode's hooks would keep alive what blocks that are computed again have let go.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.flops = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """No: to be skipped by PyTorch's compiler it would have to be imported, for seconds."""
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        operation = func.overloadpacket
        if operation in ATTENTION:
            self.flops += ATTENTION[operation](*(x.shape for x in args[:3]))
        elif operation in flop_registry:
            self.flops += flop_registry[operation](*args, **(kwargs or {}), out_val=out)
        return out


class _Watch(_Count):  # type: ignore[no-untyped-call]
    """When the memory of tensors made under it comes and goes, too."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[tuple[int, int]] = []  # a memory's number, and bytes that come or go
        self.kinds: list[int] = []
        self.numbers = WeakIdKeyDictionary()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = super().__torch_dispatch__(func, types, args, kwargs)
        first = func.overloadpacket is torch.ops.aten._to_copy and args[0]
        copied = isinstance(first, nn.Parameter)
        for x in tree_leaves(out):
            if isinstance(x, Tensor):
                self._see(x.untyped_storage(), COPY if copied else OTHER)
        return out

    def moments(self, gradients: Mapping[str, Tensor]) -> np.ndarray[Any, Any]:
        """Bytes after each event, [events, kinds]."""
        for x in gradients.values():
            self.kinds[self.numbers[x.untyped_storage()]] = GRADIENT
        changes = np.zeros((len(self.events) + 1, 3))
        for row, (number, count) in enumerate(self.events, 1):
            changes[row, self.kinds[number]] = count
        held: np.ndarray[Any, Any] = changes.cumsum(0)
        return held

    def _see(self, storage: Any, kind: int) -> None:
        if storage in self.numbers:
            return
        number, count = len(self.kinds), storage.nbytes()
        self.numbers[storage] = number
        self.kinds.append(kind)
        self.events.append((number, count))
        weakref.finalize(storage, self.events.append, (number, -count))
