"""Distributed training on PyTorch: processes started by torchrun, weights sharded by FSDP2.

`fully_shard` (Zhao et al. 2023) turns parameters, their gradients and what is computed from them
into DTensors, of which each process holds a shard.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import PrefixStore  # type: ignore[attr-defined]  # it is documented
from torch.distributed.rendezvous import rendezvous

from moyin.backend.torch import device
from moyin.backend.torch.nn import Module

LONGEST_WAIT = timedelta(days=30)  # the main process may compute columns of a whole dataset first
_stores: list[Any] = []  # the key-value store of the process group, once joined
_waits = [0]  # how many times `main_process_first` was entered


def join() -> None:
    """Join the process group, if torchrun started several processes."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or dist.is_initialized():
        return
    store, number, count = next(rendezvous("env://"))
    if os.environ.get("GROUP_WORLD_SIZE") == "1":
        # After a restart on one machine, torchrun reuses the store on the same port, which still
        # holds the addresses of the ended processes. Attempts are not equal across machines.
        attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
        store = PrefixStore(f"attempt {attempt}", store)
    dist.init_process_group(device.collectives(), store=store, rank=number, world_size=count)
    atexit.register(dist.destroy_process_group)
    _stores[:] = [store]
    gather(0)  # a process that fails and exits from here on leaves no other one still connecting


def rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1


@contextmanager
def main_process_first() -> Iterator[None]:
    """Rank 0 runs the body first; the other ranks wait for it."""
    if world_size() == 1:
        yield
        return
    _waits[0] += 1
    key = f"main-process-first-{_waits[0]}"
    if rank():
        _stores[0].wait([key], LONGEST_WAIT)
    yield
    if not rank():
        _stores[0].set(key, "done")


def gather(x: Any) -> Any:
    """A NumPy array of every rank, as [world_size, ...] on all ranks."""
    x = np.asarray(x)
    if world_size() == 1:
        return x[None]
    local = torch.from_numpy(np.ascontiguousarray(x))
    parts = [torch.empty_like(local) for _ in range(world_size())]
    dist.all_gather(parts, local)
    return torch.stack(parts).numpy()


def shard(module: Module, units: Sequence[Module], entry: str, group: int, dtype: Any) -> None:
    """Shard the parameters; they are gathered where they are used.

    Weights of a unit are gathered in `dtype`, those outside of all units in their own dtype;
    gradients are averaged in float32.
    """
    size = world_size()
    if size == 1:
        return
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import (
        MixedPrecisionPolicy,
        fully_shard,
        register_fsdp_forward_method,
    )

    group = group or size
    if size % group:
        raise ValueError(f"shard={group} does not divide the {size} processes")
    shape = (size,) if group == size else (size // group, group)
    names = ("replicate", "shard")[-len(shape) :]
    mesh = init_device_mesh(device.current().type, shape, mesh_dim_names=names)
    low = MixedPrecisionPolicy(dtype, torch.float32, cast_forward_inputs=False)
    for unit in units:
        fully_shard(unit, mesh=mesh, mp_policy=low)
    unchanged = MixedPrecisionPolicy(cast_forward_inputs=False)
    # Resharded after the forward pass: without a backward pass, gathered weights would become
    # stale.
    fully_shard(module, mesh=mesh, reshard_after_forward=True, mp_policy=unchanged)
    register_fsdp_forward_method(module, entry)


def sharded(x: Tensor) -> bool:
    """Whether this process holds only a shard of x."""
    return hasattr(x, "full_tensor")


def shard_like(x: Tensor, like: Tensor) -> Tensor:
    """The shard of x, which every rank holds in full, that corresponds to that of `like`."""
    if not sharded(like):
        return x
    from torch.distributed.tensor import distribute_tensor

    target: Any = like
    x = x.to(device.current())
    return distribute_tensor(x, target.device_mesh, target.placements, src_data_rank=None)


@torch.no_grad()
def full_tensor(x: Tensor) -> Tensor:
    """A copy of all of x; of a sharded tensor on the host, and empty on all ranks but 0."""
    if not sharded(x):
        return x.detach().clone()
    full: Tensor = x.full_tensor()  # type: ignore[attr-defined]
    return torch.empty(0) if rank() else full.cpu().clone()


@contextmanager
def summon_full_params(module: Module) -> Iterator[None]:
    """A context in which every rank holds the full parameters; changes to them are lost."""
    wrapped: list[Any] = [m for m in module.modules() if hasattr(m, "set_reshard_after_forward")]
    for m in wrapped:
        m.set_reshard_after_forward(False, recurse=False)
        m.unshard()
    try:
        yield
    finally:
        for m in wrapped:
            m.set_reshard_after_forward(True, recurse=False)
            m.reshard()
