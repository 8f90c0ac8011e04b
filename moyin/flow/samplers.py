"""Samplers: from noise to data along a velocity field, which each asks once a step."""

from __future__ import annotations

from collections.abc import Callable

from moyin.backend import Tensor, ops
from moyin.flow.schedule import Steps

Velocity = Callable[[Tensor, int], Tensor]
"""(x [B, ...], number of the step) → velocity [B, ...] at that step's time."""

Progress = Callable[[int, int], None]
"""Told (steps done, steps in all) after every step."""


def euler(velocity: Velocity, x: Tensor, steps: Steps, progress: Progress | None = None) -> Tensor:
    """Walk `x` [B, ...] float32 from pure noise to data, one straight stretch a step."""
    count = len(steps.timesteps)
    for i in range(count):
        stretch = float(steps.sigmas[i + 1] - steps.sigmas[i])
        x = x + stretch * ops.cast(velocity(x, i), x.dtype)
        if progress is not None:
            progress(i + 1, count)
    return x


def adams_bashforth(
    velocity: Velocity, x: Tensor, steps: Steps, progress: Progress | None = None
) -> Tensor:
    """As `euler`, but of second order from the second step on.

    A step goes along the straight line through this velocity and the one before it, in sigma
    (Hairer, Nørsett and Wanner 1993, III.5: variable step sizes).
    """
    count, before, stretch_before = len(steps.timesteps), None, 0.0
    for i in range(count):
        stretch = float(steps.sigmas[i + 1] - steps.sigmas[i])
        now = ops.cast(velocity(x, i), x.dtype)
        mean = now if before is None else now + stretch / (2 * stretch_before) * (now - before)
        x, before, stretch_before = x + stretch * mean, now, stretch
        if progress is not None:
            progress(i + 1, count)
    return x


SAMPLERS: dict[str, Callable[[Velocity, Tensor, Steps, Progress | None], Tensor]] = {
    "euler": euler,
    "ab2": adams_bashforth,
}
