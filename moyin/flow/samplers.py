"""Samplers: from noise to data along a velocity field."""

from __future__ import annotations

from collections.abc import Callable

from moyin.backend import Tensor, ops
from moyin.flow.schedule import Steps

Velocity = Callable[[Tensor, int], Tensor]
"""(x [B, ...], number of the step) → velocity [B, ...] at that step's time."""


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
        stretch = float(steps.sigmas[i + 1] - steps.sigmas[i])
        x = x + stretch * ops.cast(velocity(x, i), x.dtype)
        if progress is not None:
            progress(i + 1, count)
    return x
