"""Host randomness (the same on every backend) and the device's own draws for training."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from moyin.backend.random import normal, uniform
from moyin.backend.torch.device import current

__all__ = ["device_normal", "device_uniform", "normal", "uniform"]


def device_normal(shape: Sequence[int]) -> Tensor:
    """Standard normals drawn on the device: for training only, differs between backends."""
    return torch.randn(tuple(shape), device=current())


def device_uniform(shape: Sequence[int]) -> Tensor:
    """Uniforms in [0, 1) drawn on the device: for training only."""
    return torch.rand(tuple(shape), device=current())
