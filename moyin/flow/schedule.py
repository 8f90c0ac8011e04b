"""Noise levels of the denoising steps, and the timestep that the network sees at each.

GLM-Image shifts noise levels towards noise as images grow, but gives the network the time before
the shift: at time t in (0, 1] the latents have noise level shift(t) and the network sees
1000·t - 1. Giving it the shifted time shifts the colours. Training pairs the two in the same way
(`moyin.flow.training_times`).

Importing this module imports no framework.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True)
class Steps:
    """The denoising steps from noise to data.

    timesteps [S] float32: what the network sees at each step, 999 first. sigmas [S + 1] float32:
    the noise level before each step, and the final 0.
    """

    timesteps: Array
    sigmas: Array


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Linear dynamic shift; the defaults are GLM-Image's."""

    base_shift: float = 0.25
    max_shift: float = 0.75
    base_tokens: int = 256
    train_steps: int = 1000

    def mu(self, image_tokens: int) -> float:
        """The shift for an image of `image_tokens` decoder tokens (1024 × 1024: 3.25)."""
        return float(self.max_shift * (image_tokens / self.base_tokens) ** 0.5 + self.base_shift)

    def steps(self, count: int, image_tokens: int) -> Steps:
        """`count` evenly spaced times, rounded down to whole ones as the reference does.

        Raises ValueError unless 1 <= count <= train_steps.
        """
        if not 1 <= count <= self.train_steps:
            raise ValueError(f"steps={count}: it must be from 1 to {self.train_steps}")
        times = np.floor(np.linspace(self.train_steps, 1, count + 1)[:-1]).astype(np.float32)
        mu, t = np.float32(self.mu(image_tokens)), times / np.float32(self.train_steps)
        sigmas = mu / (mu + (1 / t - 1))
        return Steps(times - 1, np.append(sigmas, np.float32(0)))
