from __future__ import annotations

import numpy as np
import pytest

from moyin.train import order


@pytest.mark.parametrize(("count", "batch"), [(12, 4), (10, 3), (3, 7)])
def test_every_epoch_reads_each_sample_once(count: int, batch: int) -> None:
    read = np.concatenate([order.indices(count, 5, step, batch) for step in range(count * 2)])
    for epoch in range(2):
        assert sorted(read[epoch * count : (epoch + 1) * count]) == list(range(count))


def test_epochs_and_seeds_differ_and_steps_do_not_depend_on_each_other() -> None:
    first, second = order.indices(50, 0, 0, 50), order.indices(50, 0, 1, 50)
    assert (first != second).any()
    assert (first != order.indices(50, 1, 0, 50)).any()
    order.permutation.cache_clear()
    assert (second == order.indices(50, 0, 1, 50)).all()
