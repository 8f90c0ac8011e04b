"""Distributed training on MindSpore: processes started by msrun, each with all weights.

On a CPU only the plain AllReduce and AllGather exist, so nothing else is used.
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

_joined: list[int] = []  # rank and world size, once there are several processes


def join() -> None:
    """Join the process group, if msrun started several processes."""
    if int(os.environ.get("MS_WORKER_NUM", "1")) == 1 or _joined:
        return
    communication.init()
    _joined[:] = [communication.get_rank(), communication.get_group_size()]


def rank() -> int:
    return _joined[0] if _joined else 0


def world_size() -> int:
    return _joined[1] if _joined else 1


@contextmanager
def main_process_first() -> Iterator[None]:
    """Rank 0 runs the body first; the other ranks wait for it."""
    if rank():
        gather(0)
    yield
    if not rank():
        gather(0)


def gather(x: Any) -> Any:
    """A NumPy array of every rank, as [world_size, ...] on all ranks."""
    x = np.asarray(x)
    if world_size() == 1:
        return x[None]
    words = np.frombuffer(x.tobytes(), np.int32)  # on a CPU, AllGather takes int32 in any case
    parts = ms.ops.AllGather()(Tensor(words)).asnumpy()
    return np.frombuffer(parts.tobytes(), x.dtype).reshape(world_size(), *x.shape)


def shard(module: Module, units: Sequence[Module], entry: str, group: int, dtype: Any) -> None:
    """Nothing: each process holds all weights. ValueError for a group of several."""
    if group not in (0, 1):
        raise ValueError(f"shard={group}: on MindSpore each process holds all weights; use 0")


def sharded(x: Tensor) -> bool:
    """False: each process holds all weights."""
    return False


def shard_like(x: Tensor, like: Tensor) -> Tensor:
    """x itself."""
    return x


def full_tensor(x: Tensor) -> Tensor:
    """A copy of x."""
    return ops.stop_gradient(x) + 0


def summon_full_params(module: Module) -> AbstractContextManager[None]:
    """Nothing changes: each process holds all weights."""
    return nullcontext()
