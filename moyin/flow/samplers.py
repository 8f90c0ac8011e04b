"""Samplers: integrate a velocity field from noise to data.

Importing this module imports no framework; x may be an array of any library.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from moyin.flow.schedule import Steps

if TYPE_CHECKING:
    from moyin.backend import Tensor

Velocity = Callable[[Any, int], Any]
"""(x [B, ...], number of the step) → velocity at that step's timestep, of x's shape and dtype."""

StepHook = Callable[[int, Any], Any]
"""(steps done, x after them) → x to go on from, or None to stop."""


def euler(velocity: Velocity, x: Tensor, steps: Steps, on_step: StepHook | None = None) -> Tensor:
    """Integrate x [B, ...] float32 from pure noise to data; one velocity per step, first order."""
    count = len(steps.timesteps)
    for i in range(count):
        step_size = float(steps.sigmas[i + 1] - steps.sigmas[i])
        x = x + step_size * velocity(x, i)
        following = x if on_step is None else on_step(i + 1, x)
        if following is None:
            break
        x = following
    return x


def adams_bashforth(
    velocity: Velocity, x: Tensor, steps: Steps, on_step: StepHook | None = None
) -> Tensor:
    """As `euler`, with second order from the second step on.

    A step integrates the line through this velocity and the previous one, in sigma
    (Hairer, Nørsett and Wanner 1993, III.5: variable step sizes).
    """
    count, previous, previous_size = len(steps.timesteps), None, 0.0
    for i in range(count):
        step_size = float(steps.sigmas[i + 1] - steps.sigmas[i])
        now = velocity(x, i)
        mean = now
        if previous is not None:
            mean = now + step_size / (2 * previous_size) * (now - previous)
        x, previous, previous_size = x + step_size * mean, now, step_size
        following = x if on_step is None else on_step(i + 1, x)
        if following is None:
            break
        x = following
    return x


SAMPLERS: dict[str, Callable[[Velocity, Any, Steps, StepHook | None], Any]] = {
    "euler": euler,
    "ab2": adams_bashforth,
}
