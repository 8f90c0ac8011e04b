"""What is held out of training, and what the averaged weights make of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from moyin.backend import Tensor, autograd, distributed, nn, ops
from moyin.train.metric_aggregator import Means
from moyin.train.objectives.base import Array, Objective, SampleRng

FIRST = 2**31  # samples of validation have draws far from those of training, the same every time


def held_out(count: int, share: float) -> Array:
    """Which of `count` rows are held out, bool: the share of them, evenly spaced."""
    marks = np.floor(np.arange(count + 1) * share + 1e-9)
    return np.asarray(np.diff(marks) > 0)


def losses(
    objective: Objective, rows: Array, batch: int, batches: int, seed: int, dtype: Any
) -> dict[str, float]:
    """Loss and what else is shown, over at most so many batches of the rows, as validation_….

    Several processes share each batch out; rows that are left over then are left out.
    """
    means, rank, ranks = Means(), distributed.rank(), distributed.world_size()
    for start in range(0, min(len(rows) - len(rows) % ranks, batch * batches), batch):
        some = rows[start : start + batch]
        some = some[: len(some) - len(some) % ranks]
        sample_rng = SampleRng(seed, FIRST + start + rank, stride=ranks)
        arrays = objective.batch(some[rank::ranks], sample_rng)
        with autograd.no_grad():
            loss, shown = objective.loss({n: ops.asarray(x) for n, x in arrays.items()}, dtype)
        means.add({"loss": loss, **shown}, objective.weight(arrays))
    return {f"validation_{name}": value for name, value in means.take().items()}


@contextmanager
def averaged(parameters: Mapping[str, Any], average: Mapping[str, Tensor]) -> Iterator[None]:
    """A context in which the parameters have their averages' values."""
    kept = {n: ops.stop_gradient(p) + 0 for n, p in parameters.items()}
    for n, p in parameters.items():
        nn.set_parameter(p, average[n])
    try:
        yield
    finally:
        for n, p in parameters.items():
            nn.set_parameter(p, kept[n])
