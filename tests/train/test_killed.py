"""SIGKILL at any step; what goes on from there ends in the same bits."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

import pytest
from test_trainer import content, linear

from moyin.backend import NAME, device
from moyin.train import run, training_state

STEPS, SAVE_EVERY = 120, 7

pytestmark = pytest.mark.skipif(NAME != "torch" or not hasattr(os, "fork"), reason="forks")


def train(out: Path) -> None:
    device.peak_flops = lambda dtype: 1e11  # type: ignore[assignment]
    run(linear(out, steps=2 * STEPS, save_every=SAVE_EVERY, batch=4), until=STEPS)


def killed_at(out: Path, step: int) -> None:
    """A training in a process of its own, killed as soon as the step is in its metrics."""
    process = multiprocessing.get_context("fork").Process(target=train, args=(out,))
    process.start()
    metrics = out / "metrics.jsonl"
    while process.is_alive():
        if metrics.exists() and f'"step": {step},' in metrics.read_text():
            break
        time.sleep(0.001)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()


def kill_often(folder: Path, times: int, seed: int) -> None:
    train(folder / "whole")
    whole = content(folder / "whole")
    steps = random.Random(seed)
    for number in range(times):
        out = folder / str(number)
        killed_at(out, steps.randrange(1, STEPS))
        train(out)
        assert content(out) == whole
        assert training_state.steps(out)[-1] == STEPS


def test_killed_three_times(tmp_path: Path) -> None:
    kill_often(tmp_path, 3, seed=0)


@pytest.mark.slow
def test_killed_thirty_times(tmp_path: Path) -> None:
    kill_often(tmp_path, 30, seed=1)
