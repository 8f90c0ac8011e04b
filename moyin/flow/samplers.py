"""Samplers: from noise to data along a velocity field."""

from __future__ import annotations

from collections.abc import Callable

from moyin.backend import Tensor, ops
from moyin.flow.schedule import Steps

Velocity = Callable[[Tensor, Tensor], Tensor]
"""(x [B, ...], timestep [B] as the network sees it) → velocity [B, ...]."""


def euler(
    velocity: Velocity,
    x: Tensor,
    steps: Steps,
    progress: Callable[[int, int], None] | None = None,
) -> Tensor:
    """Walk `x` [B, ...] float32 from pure noise to data, one straight stretch a step.

    `progress` is called with (steps done, steps in all) after every step.
    """
    count = len(steps.timesteps)
    for i in range(count):
        timestep = ops.full((x.shape[0],), float(steps.timesteps[i]))
        stretch = float(steps.sigmas[i + 1] - steps.sigmas[i])
        x = x + stretch * ops.cast(velocity(x, timestep), x.dtype)
        if progress is not None:
            progress(i + 1, count)
    return x
