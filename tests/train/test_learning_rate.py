from __future__ import annotations

import pytest

from moyin.train import Optimizer
from moyin.train.lr_schedule import learning_rate

# Warm-up over 4 of 20 updates; the cosine from update 10 on; the last tenth of the rate stays.
RATES = Optimizer(lr=0.8, warmup=4, decay=0.5, final_lr=0.1)


@pytest.mark.parametrize(
    ("step", "rate"),
    [
        (0, 0.2),
        (1, 0.4),
        (3, 0.8),
        (9, 0.8),
        (10, 0.8),
        (15, 0.8 * (0.1 + 0.9 * 0.5)),  # cos(pi/2) = 0
        (20, 0.08),  # cos(pi) = -1
    ],
)
def test_hand_worked_rates(step: int, rate: float) -> None:
    assert learning_rate(RATES, step, 20) == pytest.approx(rate)


def test_no_warm_up_and_no_decay() -> None:
    flat = Optimizer(lr=0.5, warmup=0, decay=0.0)
    assert [learning_rate(flat, step, 3) for step in range(3)] == [0.5, 0.5, 0.5]
