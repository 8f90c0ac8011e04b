"""Where MindSpore computes. The only place that knows its device words."""

from __future__ import annotations

import os
import resource
import sys
from functools import lru_cache

import mindspore as ms
from mindspore.common.api import _pynative_executor

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
    return str(ms.get_context("device_target"))


def name() -> str:
    return {target: kind for kind, target in _TARGETS.items()}[current()]


def version() -> str:
    return str(ms.__version__)


def threads() -> int:
    return int(ms.get_context("runtime_num_threads"))


def synchronize() -> None:
    """Wait until all queued work is done; a kernel that failed on the way is reported here."""
    _pynative_executor.sync()
    if name() != "cpu":
        ms.runtime.synchronize()


def peak_memory() -> int:
    """Bytes: the accelerator's peak, or this process's largest resident size."""
    if name() != "cpu":
        return int(ms.runtime.max_memory_allocated())
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return rss if sys.platform == "darwin" else rss * 1024


def supports_bfloat16() -> bool:
    """Not on a CPU: products, softmax and others have no bf16 kernel there."""
    return name() != "cpu"


def seed(value: int) -> None:
    """Seed what the device itself draws (initial weights, training noise)."""
    ms.set_seed(value)
