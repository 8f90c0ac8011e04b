"""Times and noise levels drawn in training, paired as `Schedule.steps` pairs them."""

from __future__ import annotations

from moyin.backend import Tensor, ops
from moyin.flow.schedule import Schedule


def logit_normal(normals: Tensor, mean: float = 0.0, std: float = 1.0) -> Tensor:
    """Standard normals → times in (0, 1), dense in the middle (Esser et al. 2024, section 3.1)."""
    return ops.sigmoid(normals * std + mean)


def training_sigmas(schedule: Schedule, times: Tensor, image_tokens: int) -> tuple[Tensor, Tensor]:
    """(noise levels, timesteps that the network sees), each [B] float32, at times [B] in [0, 1].

    Time 1 is pure noise and timestep 999. Times below 1 of train_steps count as 1 (timestep 0):
    generation never visits them.
    """
    mu, t = schedule.mu(image_tokens), ops.clip(times, 1 / schedule.train_steps, 1.0)
    return mu / (mu + (1 / t - 1)), t * schedule.train_steps - 1
