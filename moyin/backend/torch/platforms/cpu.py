"""The CPU."""

from __future__ import annotations

import ctypes
import resource
import sys
from typing import ClassVar

import psutil
import torch

from moyin.backend.torch.platforms.platform import Platform

M_MMAP_THRESHOLD = -3  # mallopt(3): from this many bytes on, a block is mapped on its own
LARGE_BLOCK = 2**23


class Cpu(Platform):
    """The host itself: memory is that of this process and this machine."""

    type: ClassVar[str] = "cpu"
    collectives: ClassVar[str] = "gloo"

    def is_available(self) -> bool:
        return True

    def set_index(self, index: int) -> None:
        """Nothing: all processes share the CPU."""

    def synchronize(self) -> None:
        """Nothing: work is not queued."""

    def peak_memory(self) -> int:
        """Bytes: the largest resident size of this process."""
        rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return rss if sys.platform == "darwin" else rss * 1024

    def free_memory(self) -> int:
        """Bytes that this machine has available."""
        return int(psutil.virtual_memory().available)

    def release_memory(self) -> None:
        """Return freed memory, which glibc keeps, to the system."""
        if sys.platform == "linux":
            trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc only
            if trim is not None:
                trim(0)

    def spare_memory(self) -> None:
        """Have glibc map large blocks one by one, so that freeing returns them.

        By default glibc keeps such blocks and puts new ones beside those still in use. A block
        that is mapped on its own leaves no hole, but its pages must be cleared again.
        """
        if sys.platform == "linux":
            option = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc only
            if option is not None:
                option(M_MMAP_THRESHOLD, LARGE_BLOCK)

    def supports_bfloat16(self) -> bool:
        """Whether the processor has instructions for bf16 products."""
        return bool(torch.cpu._is_avx512_bf16_supported())
