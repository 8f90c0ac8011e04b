"""Where PyTorch computes. The only place that knows its device words."""

from __future__ import annotations

import ctypes
import os
import resource
import sys
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import psutil
import torch
from torch import Tensor

M_MMAP_THRESHOLD = -3  # of mallopt(3): from how many bytes on a block is mapped alone
LARGE_BLOCK = 2**23


@lru_cache(maxsize=1)
def current() -> torch.device:
    """MOYIN_DEVICE, or the first accelerator there is, or the CPU.

    Of the processes that torchrun starts on a machine, each takes an accelerator of its own.
    """
    name = os.environ.get("MOYIN_DEVICE")
    if name:
        return torch.device(name)
    kind = "cuda" if torch.cuda.is_available() else "npu" if hasattr(torch, "npu") else "cpu"
    own = os.environ.get("LOCAL_RANK")
    if kind == "cpu" or own is None:
        return torch.device(kind)
    torch.accelerator.set_device_index(int(own))
    return torch.device(kind, int(own))


def use(name: str) -> None:
    """Compute on this device, such as cpu or cuda:1, from now on.

    ValueError for a device that is unknown or absent, and where this process computes on another.
    """
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as e:
        raise ValueError(f"no device {name}: {str(e).splitlines()[0]}") from None
    if current.cache_info().currsize:
        index = 0 if device.index is None else device.index
        if (device.type, index) != (current().type, current().index or 0):
            raise ValueError(f"this process computes on {current()} already: it cannot use {name}")
        return
    os.environ["MOYIN_DEVICE"] = name
    if device.type != "cpu":
        torch.accelerator.set_device_index(device.index or 0)


def collectives() -> str:
    """For what lies on the host, and for what lies on an accelerator."""
    libraries = {"cuda": "cpu:gloo,cuda:nccl", "npu": "cpu:gloo,npu:hccl"}
    return libraries.get(current().type, "gloo")


def name() -> str:
    return str(current())


def version() -> str:
    return str(torch.__version__)


def threads() -> int:
    return torch.get_num_threads()


def synchronize() -> None:
    """Wait until all queued work is done."""
    if current().type != "cpu":
        torch.accelerator.synchronize()


def peak_memory() -> int:
    """Bytes: the accelerator's peak, or this process's largest resident size."""
    if current().type != "cpu":
        return int(torch.accelerator.max_memory_allocated())
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return rss if sys.platform == "darwin" else rss * 1024


def free_memory() -> int:
    """Bytes that the accelerator, or on a CPU this machine, still has."""
    if current().type != "cpu":
        return int(torch.accelerator.get_memory_info()[0])
    return int(psutil.virtual_memory().available)


def release_memory() -> None:
    """Give what was freed back: the allocators keep it, and a next network would come on top."""
    if current().type != "cpu":
        torch.accelerator.memory.empty_cache()
    elif sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's alone
        if trim is not None:
            trim(0)


def spare_memory() -> None:
    """Give back what is freed at once, from now on, where it was a large block.

    Of itself glibc comes to keep such blocks, and lays the next ones beside those still in use; a
    block that is mapped and unmapped alone leaves no holes, and its pages are cleared again.
    """
    if current().type == "cpu" and sys.platform == "linux":
        option = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc's alone
        if option is not None:
            option(M_MMAP_THRESHOLD, LARGE_BLOCK)


def supports_bfloat16() -> bool:
    """Whether bf16 products are worth using: on a CPU, where it has instructions for them."""
    if current().type != "cpu":
        return True
    return bool(torch.cpu._is_avx512_bf16_supported())


def seed(value: int) -> None:
    """Seed what the device itself draws (initial weights, training noise)."""
    torch.manual_seed(value)


def is_accelerator() -> bool:
    """Whether this is more than a CPU."""
    return current().type != "cpu"


def set_threads(count: int) -> None:
    """How many cores the CPU's own arithmetic uses."""
    torch.set_num_threads(count)


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
