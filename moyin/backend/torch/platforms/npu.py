"""Ascend NPUs, which torch_npu registers with PyTorch."""

from __future__ import annotations

from typing import ClassVar

from moyin.backend.torch.platforms.platform import Platform


class Npu(Platform):
    type: ClassVar[str] = "npu"
    collectives: ClassVar[str] = "cpu:gloo,npu:hccl"
    vendor_module: ClassVar[str | None] = "torch_npu"
