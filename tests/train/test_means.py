from __future__ import annotations

import pytest

from moyin.backend import ops
from moyin.train.metric_aggregator import Means


def test_scalars_by_weight_and_pairs_by_count() -> None:
    means = Means()
    means.add({"a": ops.full((), 2.0), "b": ops.asarray([6.0, 3.0])}, 1.0)
    means.add({"a": ops.full((), 5.0), "b": ops.asarray([0.0, 0.0])}, 2.0)
    means.add({"b": ops.asarray([4.0, 1.0]), "c": ops.asarray([0.0, 0.0])}, 1.0)
    assert means.take() == pytest.approx({"a": 4.0, "b": 2.5})
    assert means.take() == {}
