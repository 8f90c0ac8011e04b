"""Several processes of one training, as msrun starts them: each holds all weights.

Of collectives a CPU has the plain AllReduce and AllGather alone; so nothing else is used.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import mindspore as ms
import numpy as np
from mindspore import Tensor, communication

from moyin.backend.mindspore import ops
from moyin.backend.mindspore.nn import Module

_joined: list[int] = []  # rank and ranks, once there are several


def join() -> None:
    """Meet the processes that msrun started, if it started several."""
    if int(os.environ.get("MS_WORKER_NUM", "1")) == 1 or _joined:
        return
    communication.init()
    _joined[:] = [communication.get_rank(), communication.get_group_size()]


def rank() -> int:
    return _joined[0] if _joined else 0


def ranks() -> int:
    return _joined[1] if _joined else 1


@contextmanager
def in_turn() -> Iterator[None]:
    """The first process alone, and then the others."""
    if rank():
        gather(0)
    yield
    if not rank():
        gather(0)


def gather(x: Any) -> Any:
    """A NumPy array of every process: [ranks, ...], on all of them."""
    x = np.asarray(x)
    if ranks() == 1:
        return x[None]
    words = np.frombuffer(x.tobytes(), np.int32)  # a CPU gathers these of any kind
    parts = ms.ops.AllGather()(Tensor(words)).asnumpy()
    return np.frombuffer(parts.tobytes(), x.dtype).reshape(ranks(), *x.shape)


def shard(module: Module, units: Sequence[Module], entry: str, group: int, dtype: Any) -> None:
    """Nothing is shared out: gradients are averaged, by `mean`."""
    if group not in (0, 1):
        raise ValueError(
            f"shard={group}: on MindSpore each process holds all weights; leave it out"
        )


def sharded(x: Tensor) -> bool:
    """False: each process holds all."""
    return False


def part(x: Tensor, like: Tensor) -> Tensor:
    """All of it."""
    return x


def whole(x: Tensor) -> Tensor:
    """A copy."""
    return ops.stop_gradient(x) + 0


def assembled(module: Module) -> AbstractContextManager[None]:
    """Nothing changes."""
    return nullcontext()
