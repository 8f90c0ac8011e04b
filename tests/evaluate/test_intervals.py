from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from moyin.evaluate import bootstrap


def total(sums: Mapping[str, float]) -> dict[str, float]:
    return {"share": sums["right"] / sums["of"]}


def some(rights: list[float]) -> list[dict[str, float]]:
    return [{"right": right, "of": 1.0} for right in rights]


def test_a_coin_of_a_hundred_prompts() -> None:
    """Against the binomial distribution's own quantiles: 0.40 and 0.60 of 100 draws at 1/2."""
    low, high = bootstrap.intervals(some([0.0, 1.0] * 50), total, 4000)["share"]
    assert (low, high) == (pytest.approx(0.40, abs=0.011), pytest.approx(0.60, abs=0.011))


def test_the_same_resampled_every_time() -> None:
    sums = some(list(np.random.default_rng(1).random(30)))
    assert bootstrap.intervals(sums, total, 200) == bootstrap.intervals(sums, total, 200)


def test_certainty() -> None:
    assert bootstrap.intervals(some([1.0] * 8), total, 50) == {"share": (1.0, 1.0)}
    assert bootstrap.intervals(some([0.25]), total, 50) == {"share": (0.25, 0.25)}


def test_a_paired_interval_is_narrower() -> None:
    """The second is better by a tenth on every prompt: however different prompts are, the
    difference is certain."""
    first = some(list(np.linspace(0, 0.9, 40)))
    second = [{**one, "right": one["right"] + 0.1} for one in first]
    low, high = bootstrap.differences(first, second, total, 300)["share"]
    assert (low, high) == (pytest.approx(0.1), pytest.approx(0.1))
    alone = bootstrap.intervals(first, total, 300)["share"]
    assert alone[1] - alone[0] > 0.1


def test_prompts_of_several_images_weigh_by_them() -> None:
    drawn = bootstrap.resampled(5, 100)
    assert drawn.shape == (100, 5)
    assert (drawn.sum(1) == 5).all()
