"""What the backend asks of a platform."""

from __future__ import annotations

import importlib
import importlib.util
from typing import ClassVar

import torch


class Platform:
    """An accelerator that `torch.accelerator` controls. Subclasses state what differs."""

    type: ClassVar[str]
    """PyTorch's device type, the part of MOYIN_DEVICE before the colon."""

    collectives: ClassVar[str]
    """Backends of torch.distributed, for tensors on the host and on the device."""

    vendor_module: ClassVar[str | None] = None
    """The module that registers the device type, where PyTorch does not know it by itself."""

    def register(self) -> bool:
        """Import the vendor's module if the device type is not registered yet; whether it is."""
        if not hasattr(torch, self.type) and self.vendor_module is not None:
            if importlib.util.find_spec(self.vendor_module) is None:
                return False
            importlib.import_module(self.vendor_module)
        return hasattr(torch, self.type)

    def is_available(self) -> bool:
        """Whether PyTorch finds a device of this type."""
        return self.register() and bool(getattr(torch, self.type).is_available())

    def set_index(self, index: int) -> None:
        """Choose the device of this process."""
        torch.accelerator.set_device_index(index)

    def synchronize(self) -> None:
        """Wait until all queued work is done."""
        torch.accelerator.synchronize()

    def peak_memory(self) -> int:
        """Bytes: the most that was allocated at a time."""
        return int(torch.accelerator.max_memory_allocated())

    def free_memory(self) -> int:
        """Bytes that can still be allocated."""
        return int(torch.accelerator.get_memory_info()[0])

    def release_memory(self) -> None:
        """Return freed memory, which the allocator keeps, to the device."""
        torch.accelerator.memory.empty_cache()

    def spare_memory(self) -> None:
        """Have the allocator return large freed blocks at once from now on."""

    def supports_bfloat16(self) -> bool:
        """Whether bf16 products are at least as fast as float32 ones."""
        return True
