"""Host randomness (the same on every backend) and the device's own draws for training."""

from __future__ import annotations

from collections.abc import Sequence

from mindspore import Tensor

from moyin.backend.mindspore import kernels
from moyin.backend.random import normal, uniform

__all__ = ["device_normal", "device_uniform", "normal", "uniform"]


def device_normal(shape: Sequence[int]) -> Tensor:
    """Standard normals drawn on the device: for training only, differs between backends."""
    return kernels.randn(tuple(shape))


def device_uniform(shape: Sequence[int]) -> Tensor:
    """Uniforms in [0, 1) drawn on the device: for training only."""
    return kernels.rand(tuple(shape))
