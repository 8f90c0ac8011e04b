"""Bootstrap over prompts: how far a score is to be trusted (Efron 1979; percentile intervals).

Prompts are drawn with replacement, each with all its images, since images of one prompt are
alike. The draws are seeded: the same sums give the same interval.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from moyin.ocr.scores import Scores, Sums

Interval = tuple[float, float]
Total = Callable[[Mapping[str, float]], Scores]

LEVEL = 0.95


def intervals(sums: Sequence[Sums], total: Total, resamples: int) -> dict[str, Interval]:
    """The 95 % interval of every score; sums: one for each prompt."""
    drawn = _scores(sums, total, resampled(len(sums), resamples))
    return {name: _middle(values) for name, values in drawn.items()}


def differences(
    first: Sequence[Sums], second: Sequence[Sums], total: Total, resamples: int
) -> dict[str, Interval]:
    """The 95 % interval of every score of `second` less that of `first`, over the same prompts
    in the same order: each draw takes the same prompts of both."""
    weights = resampled(len(first), resamples)
    before, after = (_scores(sums, total, weights) for sums in (first, second))
    return {name: _middle(after[name] - before[name]) for name in before if name in after}


def resampled(count: int, resamples: int) -> Any:
    """How often each of `count` prompts is drawn, int [resamples, count]."""
    return np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), resamples)


def _scores(sums: Sequence[Sums], total: Total, weights: Any) -> dict[str, Any]:
    """Every score of every draw, [resamples]."""
    keys = sorted({key for one in sums for key in one})
    table = np.array([[one.get(key, 0.0) for key in keys] for one in sums])
    rows = [total(dict(zip(keys, row, strict=True))) for row in (weights @ table).tolist()]
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def _middle(values: Any) -> Interval:
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
