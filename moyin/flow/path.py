"""The straight path between data and noise (Lipman et al. 2023; Liu et al. 2023).

sigma runs from 0, the data, to 1, pure noise; the network predicts dx/dsigma.
"""

from __future__ import annotations

from moyin.backend import Tensor, ops


def noised(data: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
    """x_sigma = (1 - sigma)·data + sigma·noise; data and noise [B, ...], sigma [B] float."""
    per_sample = ops.reshape(sigma, (-1, *(1,) * (len(data.shape) - 1)))
    return ops.addcmul(data, ops.cast(per_sample, data.dtype), noise - data)


def velocity(data: Tensor, noise: Tensor) -> Tensor:
    """noise - data, the same all along the path."""
    return noise - data
