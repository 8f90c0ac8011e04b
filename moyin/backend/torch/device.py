"""Where PyTorch computes. The only place that knows its device words."""

from __future__ import annotations

import os
import resource
import sys
from functools import lru_cache

import torch


@lru_cache(maxsize=1)
def current() -> torch.device:
    """MOYIN_DEVICE, or the first accelerator there is, or the CPU."""
    name = os.environ.get("MOYIN_DEVICE")
    if name:
        return torch.device(name)
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("npu") if hasattr(torch, "npu") else torch.device("cpu")


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
