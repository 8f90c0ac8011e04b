"""An auxiliary loss of the generator: at every token, predict how far the next text is.

A token decides where text begins only once an image, though the caption said it; predicted at every
token before, it reaches the states that decide.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from moyin.backend import Tensor, nn, ops
from moyin.nano.layout_facts import VALUES
from moyin.train.auxiliary import Auxiliary
from moyin.train.losses import cross_entropy
from moyin.train.objectives.base import Array, Batch
from moyin.train.objectives.generator import GeneratorForward, Sequences
from moyin.train.text_mask import text_mask


class DistanceLoss(Auxiliary):
    """Cross-entropy of `distances` at every token, summed."""

    def __init__(self, hidden: int, weight: float) -> None:
        super().__init__()
        self.weight = weight
        self.head = nn.Linear(hidden, 2 * VALUES)

    def batch(self, samples: Sequences, arrays: Batch) -> Batch:
        """distances [B, 2, L] int64, −1 at positions that are no semantic token."""
        b, length = arrays["tokens"].shape
        found = np.full((b, 2, length), -1, np.int64)
        for number, (row, images, example) in enumerate(
            zip(samples.rows, samples.token_grids, samples.examples, strict=True)
        ):
            lines, grid = row["meta"]["lines"], row["tokens"].shape
            grids = [distances(text_mask(lines, grid, x.shape)).reshape(2, -1) for x in images]
            each = np.concatenate(grids, 1)[:, : len(example.ids) - example.start]
            found[number, :, example.start : example.start + each.shape[1]] = each
        return {"distances": found}

    def loss(
        self, forward: GeneratorForward, batch: dict[str, Tensor], dtype: Any
    ) -> tuple[Tensor, dict[str, Tensor]]:
        targets_b2l = batch["distances"][:, :, forward.first + 1 :]
        b, length, _ = forward.states.shape
        predicted = ops.reshape(self.head(forward.states), (b, length * 2, VALUES))
        targets = ops.reshape(ops.transpose(targets_b2l, 1, 2), (b, length * 2))
        known = ops.cast(targets >= 0, ops.float32)
        entropy = cross_entropy(predicted, ops.maximum(targets, ops.zeros_like(targets)))
        total = ops.sum(entropy * known)
        return self.weight * total, {"loss_distances": ops.stack([total, ops.sum(known)])}


def distances(text: Array) -> Array:
    """At each token of a grid: how many columns to the next boundary of text in its row, and how
    many rows to the next text; VALUES − 1 for none. text [rows, columns] bool;
    [2, rows, columns] int64."""
    rows, columns = text.shape
    found = np.full((2, rows, columns), VALUES - 1)
    boundary = text != np.pad(text, ((0, 0), (1, 0)))[:, :-1]
    for row, column in zip(*np.nonzero(boundary), strict=True):
        across = column - np.arange(column + 1)
        found[0, row, : column + 1] = np.minimum(found[0, row, : column + 1], across)
    for row, column in zip(*np.nonzero(text), strict=True):
        found[1, row, : column + 1] = 0
        found[1, :row] = np.minimum(found[1, :row], (row - np.arange(row))[:, None])
    return found
