"""Several processes of one training, as torchrun starts them, that share its weights out.

What each keeps is FSDP2's doing (`fully_shard`; Zhao et al. 2023): parameters, their gradients and
whatever is made of them are DTensors, of which a process holds its part.
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

LONGEST = timedelta(days=30)  # a turn may be long: columns of a whole store are made in one
_world: list[Any] = []  # the store in which the processes leave each other notes
_turns = [0]


def join() -> None:
    """Meet the processes that torchrun started, if it started several."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or dist.is_initialized():
        return
    store, number, count = next(rendezvous("env://"))
    if os.environ.get("GROUP_WORLD_SIZE") == "1":
        # Begun again on one machine, torchrun has the same store on the same port, in which the
        # addresses of those that were ended still stand. Machines of several may count apart.
        attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
        store = PrefixStore(f"attempt {attempt}", store)
    dist.init_process_group(device.collectives(), store=store, rank=number, world_size=count)
    atexit.register(dist.destroy_process_group)
    _world[:] = [store]
    gather(0)  # who then refuses its work, and leaves, leaves nobody still looking for it


def rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def ranks() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1


@contextmanager
def in_turn() -> Iterator[None]:
    """The first process alone, and then the others."""
    if ranks() == 1:
        yield
        return
    _turns[0] += 1
    name = f"turn-{_turns[0]}"
    if rank():
        _world[0].wait([name], LONGEST)
    yield
    if not rank():
        _world[0].set(name, "over")


def gather(x: Any) -> Any:
    """A NumPy array of every process: [ranks, ...], on all of them."""
    x = np.asarray(x)
    if ranks() == 1:
        return x[None]
    mine = torch.from_numpy(np.ascontiguousarray(x))
    parts = [torch.empty_like(mine) for _ in range(ranks())]
    dist.all_gather(parts, mine)
    return torch.stack(parts).numpy()


def shard(module: Module, units: Sequence[Module], entry: str, group: int, dtype: Any) -> None:
    """Leave each process its part of the parameters; they are put together where they are used.

    Weights of a unit travel in `dtype`, and what is used outside of all units in its own;
    gradients are averaged in float32.
    """
    if ranks() == 1:
        return
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import (
        MixedPrecisionPolicy,
        fully_shard,
        register_fsdp_forward_method,
    )

    group = group or ranks()
    if ranks() % group:
        raise ValueError(f"shard={group}: the {ranks()} processes make no groups of that size")
    shape = (ranks(),) if group == ranks() else (ranks() // group, group)
    names = ("replicate", "shard")[-len(shape) :]
    mesh = init_device_mesh(device.current().type, shape, mesh_dim_names=names)
    low = MixedPrecisionPolicy(dtype, torch.float32, cast_forward_inputs=False)
    for unit in units:
        fully_shard(unit, mesh=mesh, mp_policy=low)
    own = MixedPrecisionPolicy(cast_forward_inputs=False)
    # Not kept after the forward pass: without a backward pass they would stay, and grow old.
    fully_shard(module, mesh=mesh, reshard_after_forward=True, mp_policy=own)
    register_fsdp_forward_method(module, entry)


def sharded(x: Tensor) -> bool:
    """Whether this process holds only its part of x."""
    return hasattr(x, "full_tensor")


def part(x: Tensor, like: Tensor) -> Tensor:
    """Of x, which every process has, the part that it holds of `like`."""
    if not sharded(like):
        return x
    from torch.distributed.tensor import distribute_tensor

    at: Any = like
    x = x.to(device.current())
    return distribute_tensor(x, at.device_mesh, at.placements, src_data_rank=None)


@torch.no_grad()
def whole(x: Tensor) -> Tensor:
    """A copy of all of x: of a sharded one on the host, and empty on all but the first process."""
    if not sharded(x):
        return x.detach().clone()
    full: Tensor = x.full_tensor()  # type: ignore[attr-defined]
    return torch.empty(0) if rank() else full.cpu().clone()


@contextmanager
def assembled(module: Module) -> Iterator[None]:
    """Within it the module's parameters are whole on every process; changes to them are lost."""
    found: list[Any] = [m for m in module.modules() if hasattr(m, "set_reshard_after_forward")]
    for m in found:
        m.set_reshard_after_forward(False, recurse=False)
        m.unshard()
    try:
        yield
    finally:
        for m in found:
            m.set_reshard_after_forward(True, recurse=False)
            m.reshard()
