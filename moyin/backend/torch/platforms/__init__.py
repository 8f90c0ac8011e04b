"""The platforms that PyTorch computes on, one file each.

A new chip is one subclass of `Platform` in a file of its own, and its entry in PLATFORMS.
"""

from __future__ import annotations

from moyin.backend.torch.platforms.cpu import Cpu
from moyin.backend.torch.platforms.cuda import Cuda
from moyin.backend.torch.platforms.npu import Npu
from moyin.backend.torch.platforms.platform import Platform

__all__ = ["PLATFORMS", "Platform", "first_available", "parse"]

# By device type. The first one that is available is the default, so the CPU comes last.
PLATFORMS: dict[str, Platform] = {p.type: p for p in (Cuda(), Npu(), Cpu())}


def first_available() -> Platform:
    """The first accelerator that PyTorch finds, or the CPU."""
    return next(p for p in PLATFORMS.values() if p.is_available())


def parse(device: str) -> tuple[Platform, int | None]:
    """`type` or `type:index` → the platform and the index, such as cuda:1.

    Raises ValueError for an unknown type, an index that is not a number, and a platform that
    PyTorch finds no device of.
    """
    kind, colon, index = device.partition(":")
    if kind not in PLATFORMS:
        raise ValueError(f"device {device!r}: the type must be one of {', '.join(PLATFORMS)}")
    if colon and not index.isdecimal():
        raise ValueError(f"device {device!r}: {index!r} is no index; write {kind} or {kind}:0")
    platform = PLATFORMS[kind]
    if not platform.is_available():
        raise ValueError(f"device {device!r}: PyTorch finds no {kind} device")
    return platform, int(index) if colon else None
