from __future__ import annotations

import numpy as np

from moyin.backend import autograd, nn, ops, optim
from moyin.train.frozen_embedding import FROZEN, PartlyFrozen

ROWS = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
IDS = np.array([[0, 5, 3], [2, 2, 4]])


class Sum(nn.Module):
    """Rows weighed by 1, 2, … in the order of their ids."""

    def __init__(self, learned: int) -> None:
        super().__init__()
        whole = nn.Embedding(*ROWS.shape)
        nn.set_parameter(whole.weight, ops.asarray(ROWS))
        self.table = PartlyFrozen(whole, learned)

    def forward(self, ids: object) -> tuple[object, dict[str, object]]:
        weights = ops.reshape(ops.arange(6) + 1, (2, 3, 1))
        return ops.sum(self.table(ids) * ops.cast(weights, ops.float32)), {}


def test_it_gives_what_the_embedding_gives() -> None:
    for learned in (1, 4, 5):
        part = Sum(learned).table
        np.testing.assert_array_equal(ops.numpy(part(ops.asarray(IDS))), ROWS[IDS])
        np.testing.assert_array_equal(ops.numpy(part.joined().weight), ROWS)


def test_only_the_first_rows_learn() -> None:
    """Row 0 is read with weight 1, row 2 with 4 and 5, row 1 by nobody; decay takes from all."""
    made = Sum(3)
    every = nn.named_parameters(made)
    names = [n for n in every if not n.endswith(FROZEN)]
    assert (len(every), len(names)) == (2, 1)
    _, _, gradients = autograd.value_and_grad(made, made, names)(ops.asarray(IDS))
    np.testing.assert_allclose(ops.numpy(gradients[names[0]]), np.outer([1, 0, 9], [1, 1, 1]))
    optim.AdamW({n: every[n] for n in names}, weight_decay=0.5).step(gradients, 0.1)
    after = ops.numpy(made.table.joined().weight)
    assert after[3:].tobytes() == ROWS[3:].tobytes()
    np.testing.assert_allclose(after[1], 0.95 * ROWS[1], rtol=1e-6)
    np.testing.assert_allclose(after[0], 0.95 * ROWS[0] - 0.1, rtol=1e-5)
