"""The device on which PyTorch computes; what depends on the chip is asked of its platform."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from moyin.backend.torch import platforms


@lru_cache(maxsize=1)
def current() -> torch.device:
    """MOYIN_DEVICE, or the first accelerator that PyTorch finds, or the CPU.

    The processes that torchrun starts on a machine take one accelerator each. Raises ValueError if
    MOYIN_DEVICE is unknown or not available.
    """
    wanted = os.environ.get("MOYIN_DEVICE")
    if wanted:
        try:
            platform, index = platforms.parse(wanted)
        except ValueError as e:
            raise ValueError(f"MOYIN_DEVICE: {e}") from None
        return torch.device(platform.type) if index is None else torch.device(platform.type, index)
    platform = platforms.first_available()
    local_rank = os.environ.get("LOCAL_RANK")
    if platform.type == "cpu" or local_rank is None:
        return torch.device(platform.type)
    platform.set_index(int(local_rank))
    return torch.device(platform.type, int(local_rank))


def use(name: str) -> None:
    """Compute on this device, such as cpu or cuda:1, from now on.

    ValueError for a device that is unknown or absent, and where this process computes on another.
    """
    platform, index = platforms.parse(name)
    if current.cache_info().currsize:
        if (platform.type, index or 0) != (current().type, current().index or 0):
            raise ValueError(f"this process computes on {current()} already: it cannot use {name}")
        return
    os.environ["MOYIN_DEVICE"] = name
    if platform.type != "cpu":
        platform.set_index(index or 0)


def _platform() -> platforms.Platform:
    return platforms.PLATFORMS[current().type]


def name() -> str:
    return str(current())


def is_accelerator() -> bool:
    """Whether this is more than a CPU."""
    return current().type != "cpu"


def version() -> str:
    return str(torch.__version__)


def threads() -> int:
    return torch.get_num_threads()


def set_threads(count: int) -> None:
    """Set how many CPU threads PyTorch computes with."""
    torch.set_num_threads(count)


def seed(value: int) -> None:
    """Seed the device's own generator (initial weights, training noise)."""
    torch.manual_seed(value)


def collectives() -> str:
    """The backends of torch.distributed for tensors on the host and on the device."""
    return _platform().collectives


def synchronize() -> None:
    """Wait until all queued work is done."""
    _platform().synchronize()


def peak_memory() -> int:
    """Bytes: the accelerator's peak, or the largest resident size of this process."""
    return _platform().peak_memory()


def free_memory() -> int:
    """Bytes that the accelerator, or on a CPU this machine, has available."""
    return _platform().free_memory()


def release_memory() -> None:
    """Return freed memory that the allocator keeps to the device or the system."""
    _platform().release_memory()


def spare_memory() -> None:
    """Have the allocator return large freed blocks at once from now on, at some cost of time."""
    _platform().spare_memory()


def supports_bfloat16() -> bool:
    """Whether bf16 products are worth using."""
    return _platform().supports_bfloat16()


def count_flops(fn: Callable[[], object]) -> float:
    """Floating-point operations of the matrix products and convolutions in fn()."""
    from moyin.backend.torch.rehearsal import count_flops as count

    return count(fn)


def rehearse(
    make: Callable[[], Callable[[], Mapping[str, Tensor]]], fused: bool
) -> tuple[float, Any]:
    """See `backend.torch.rehearsal`."""
    from moyin.backend.torch.rehearsal import rehearse as run

    return run(make, fused)


def peak_flops(dtype: torch.dtype, size: int = 2048) -> float:
    """FLOP/s of a size³ product, the best of five: what this machine can do."""
    a = torch.randn(size, size, device=current()).to(dtype)
    best = float("inf")
    for _ in range(5):
        synchronize()
        start = time.perf_counter()
        a @ a
        synchronize()
        best = min(best, time.perf_counter() - start)
    return float(2 * size**3 / best)
