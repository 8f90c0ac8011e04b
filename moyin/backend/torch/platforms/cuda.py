"""NVIDIA GPUs, and AMD GPUs on ROCm builds of PyTorch."""

from __future__ import annotations

from typing import ClassVar

from moyin.backend.torch.platforms.platform import Platform


class Cuda(Platform):
    type: ClassVar[str] = "cuda"
    collectives: ClassVar[str] = "cpu:gloo,cuda:nccl"
