"""The straight path between data and noise (Lipman et al. 2023; Liu et al. 2023).

sigma runs from 0, the data, to 1, pure noise. It is a number, or a tensor [B] with one a sample.
"""

from __future__ import annotations

from moyin.backend import Tensor, ops


def noised(data: Tensor, noise: Tensor, sigma: Tensor | float) -> Tensor:
    """x_sigma = (1 - sigma)·data + sigma·noise; data and noise [B, ...]."""
    return ops.addcmul(data, spread(sigma, data), noise - data)


def velocity(data: Tensor, noise: Tensor) -> Tensor:
    """dx/dsigma = noise - data, what the decoder predicts."""
    return noise - data


def data_of(x: Tensor, velocity: Tensor, sigma: Tensor | float) -> Tensor:
    """The data that a velocity at x_sigma points to."""
    return x - spread(sigma, x) * velocity


def spread(sigma: Tensor | float, like: Tensor) -> Tensor:
    """sigma as a tensor that broadcasts over `like`, in its dtype."""
    if isinstance(sigma, float | int):
        return ops.full((1,) * len(like.shape), sigma, like.dtype)
    return ops.cast(ops.reshape(sigma, (-1, *(1,) * (len(like.shape) - 1))), like.dtype)
