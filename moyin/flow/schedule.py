"""Which noise levels are visited, and which time the network is told at each.

GLM-Image shifts noise levels towards noise as images grow, but tells the network the time
before the shift: at time t in (0, 1] the latents hold shift(t) of noise while the network sees
1000·t - 1. Telling it the shifted time instead drifts the colours. Training pairs the two in the
same way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from moyin.backend import Tensor, ops

Array = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True)
class Steps:
    """The walk from noise to data: the network is called once at each of `timesteps`.

    timesteps [S] float32 as the network sees them, 999 first; sigmas [S + 1] float32, the noise
    level at each step and the final 0.
    """

    timesteps: Array
    sigmas: Array


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Linear dynamic shift; the defaults are GLM-Image's own."""

    base_shift: float = 0.25
    max_shift: float = 0.75
    base_tokens: int = 256
    train_steps: int = 1000

    def mu(self, image_tokens: int) -> float:
        """How far levels are shifted for an image of so many decoder tokens (1024²: 3.25)."""
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

    def training_sigmas(self, u: Tensor, image_tokens: int) -> tuple[Tensor, Tensor]:
        """(noise level, time the network sees), each [B] float32, at times u [B] in [0, 1].

        The same pairing as in `steps`. u = 1 is pure noise and time 999; times below 1 of 1000
        are never visited and count as 1, seen as 0.
        """
        mu, t = self.mu(image_tokens), ops.clip(u, 1 / self.train_steps, 1.0)
        return mu / (mu + (1 / t - 1)), t * self.train_steps - 1


def logit_normal(normals: Tensor, mean: float = 0.0, std: float = 1.0) -> Tensor:
    """Standard normals as times in (0, 1), dense in the middle (Esser et al. 2024, section 3.1)."""
    return ops.sigmoid(normals * std + mean)
