"""The learning rate over the steps."""

from __future__ import annotations

import math

from moyin.train.config import Optimizer


def learning_rate(o: Optimizer, step: int, steps: int) -> float:
    """Of update `step` (from 0) of `steps`: linear warm-up, plateau, cosine to final_lr · lr."""
    warm = min(1.0, (step + 1) / max(1, o.warmup))
    start = steps * (1 - o.decay)
    if step <= start:
        return o.lr * warm
    done = (step - start) / max(1.0, steps - start)
    return o.lr * warm * (o.final_lr + (1 - o.final_lr) * (1 + math.cos(math.pi * done)) / 2)
