"""An embedding of which only the first rows learn: those of the ids that a network is to write.

The others keep their bits, and need no gradient, no moments and no average.
"""

from __future__ import annotations

from typing import Any

from moyin.backend import Tensor, nn, ops

FROZEN = "frozen.weight"  # the parameter that nothing may update, within a `PartlyFrozen`


class PartlyFrozen(nn.Module):
    """ids [...] → [..., size], as the embedding does that it is made of, in two parameters."""

    def __init__(self, whole: Any, learned: int) -> None:
        """learned: how many rows may learn; `whole` is left as it is."""
        super().__init__()
        count, size = whole.weight.shape
        self.count = learned
        with nn.empty_weights():
            self.learned = nn.Embedding(learned, size)
            self.frozen = nn.Embedding(count - learned, size)
        rows = ops.stop_gradient(whole.weight)
        nn.assign(self, {"learned.weight": rows[:learned] + 0, FROZEN: rows[learned:] + 0})

    def forward(self, ids: Tensor) -> Tensor:
        none = ops.zeros_like(ids)
        fixed = ids >= self.count
        learned = self.learned(ops.where(fixed, none, ids))
        frozen = self.frozen(ops.where(fixed, ids - self.count, none))
        return ops.where(ops.reshape(fixed, (*ids.shape, 1)), frozen, learned)

    def joined(self) -> Any:
        """A plain embedding of all rows as they are now."""
        weight = ops.concat([self.learned.weight, self.frozen.weight], 0)
        with nn.empty_weights():
            whole = nn.Embedding(*weight.shape)
        nn.assign(whole, {"weight": ops.stop_gradient(weight)})
        return whole
