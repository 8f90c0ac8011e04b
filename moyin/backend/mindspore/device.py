"""Where MindSpore computes. The only place that knows its device words."""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import mindspore as ms
import psutil
from mindspore import Tensor

_TARGETS = {"cpu": "CPU", "npu": "Ascend"}


@lru_cache(maxsize=1)
def current() -> str:
    """MindSpore's own word for MOYIN_DEVICE (cpu, npu, npu:1), or for what it was built for."""
    wanted = os.environ.get("MOYIN_DEVICE")
    if wanted:
        kind, _, index = wanted.partition(":")
        if kind not in _TARGETS:
            raise ValueError(f"MOYIN_DEVICE={wanted}: on MindSpore it must be cpu or npu")
        ms.set_device(_TARGETS[kind], int(index) if index else None)
    target = str(ms.get_context("device_target"))
    if target == "CPU":
        # MindSpore hands each operation from thread to thread, and these contend for a CPU's cores:
        # on a busy two-core machine a small training step took 13 s so, and 1.6 s without. An
        # error is then also raised by the operation that made it, and not by a later one.
        ms.runtime.launch_blocking()
    return target


def use(name: str) -> None:
    """Compute on this device (cpu, npu, npu:1) from now on.

    ValueError for an unknown device, and where this process computes on another.
    """
    kind, _, index = name.partition(":")
    if kind not in _TARGETS or not (index.isdigit() or not index):
        raise ValueError(f"no device {name}: on MindSpore it is {' or '.join(_TARGETS)}")
    if current.cache_info().currsize:
        if _TARGETS[kind] != current():
            raise ValueError(f"this process computes on {current()} already: it cannot use {name}")
        return
    os.environ["MOYIN_DEVICE"] = name


def name() -> str:
    return {target: kind for kind, target in _TARGETS.items()}[current()]


def version() -> str:
    return str(ms.__version__)


def threads() -> int:
    return int(ms.get_context("runtime_num_threads"))


def synchronize() -> None:
    """Wait until all queued work is done."""
    if is_accelerator():
        ms.runtime.synchronize()


def peak_memory() -> int:
    """Bytes: the accelerator's peak, or this process's largest resident size."""
    if is_accelerator():
        return int(ms.runtime.max_memory_allocated())
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return rss if sys.platform == "darwin" else rss * 1024


def free_memory() -> int:
    """Bytes that the accelerator, or on a CPU this machine, still has."""
    if is_accelerator():
        return int(ms.hal.get_device_properties(0).free_memory)
    return int(psutil.virtual_memory().available)


def release_memory() -> None:
    """Give what was freed back to the device."""
    if is_accelerator():
        ms.runtime.empty_cache()


def spare_memory() -> None:
    """Nothing: MindSpore takes its memory from a pool of its own, which keeps it."""


def supports_bfloat16() -> bool:
    """Not on a CPU: products, softmax and others have no bf16 kernel there."""
    return is_accelerator()


def seed(value: int) -> None:
    """Seed what the device itself draws (initial weights, training noise)."""
    ms.set_seed(value)


def collectives() -> str:
    """The one library of the device."""
    return "hccl" if is_accelerator() else "mccl"


def is_accelerator() -> bool:
    """Whether this is more than a CPU."""
    return name() != "cpu"


def set_threads(count: int) -> None:
    """How many cores the CPU's own arithmetic uses."""
    ms.set_context(runtime_num_threads=count)


def count_flops(fn: Callable[[], object]) -> float:
    """Not a number: MindSpore does not count its operations, so `fn` is not even called."""
    return float("nan")


def rehearse(
    make: Callable[[], Callable[[], Mapping[str, Tensor]]], fused: bool
) -> tuple[float, Any]:
    """Only PyTorch has tensors without memory."""
    raise ValueError("what a training needs is reckoned by PyTorch: set MOYIN_BACKEND=torch")


def peak_flops(dtype: Any, size: int = 2048) -> float:
    """FLOP/s of a size³ product, the best of five: what this machine can do."""
    a = ms.ops.randn(size, size).astype(dtype)
    best = float("inf")
    for _ in range(5):
        synchronize()
        start = time.perf_counter()
        a @ a
        synchronize()
        best = min(best, time.perf_counter() - start)
    return float(2 * size**3 / best)
