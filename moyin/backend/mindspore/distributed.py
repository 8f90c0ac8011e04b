"""One process: a training by several is for PyTorch."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
from mindspore import Tensor

from moyin.backend.mindspore import ops
from moyin.backend.mindspore.nn import Module


def join() -> None:
    """ValueError where msrun or mpirun started several."""
    if int(os.environ.get("MS_WORKER_NUM", "1")) > 1:
        raise ValueError("several processes train by PyTorch alone: leave msrun out, or torchrun")


def rank() -> int:
    return 0


def ranks() -> int:
    return 1


def in_turn() -> AbstractContextManager[None]:
    """Nobody waits."""
    return nullcontext()


def gather(x: Any) -> Any:
    """x as [1, ...]."""
    return np.asarray(x)[None]


def shard(module: Module, units: Sequence[Module], entry: str, group: int, dtype: Any) -> None:
    """Nothing: one process holds all."""


def sharded(x: Tensor) -> bool:
    """False: one process holds all."""
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
