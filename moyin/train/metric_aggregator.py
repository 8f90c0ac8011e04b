"""Means over many batches of what a loss shows, kept on the device until they are asked for."""

from __future__ import annotations

from collections.abc import Mapping

from moyin.backend import Tensor, distributed, ops


class Means:
    """A value is a scalar, averaged by the batches' weights, or a pair [2] of a sum and a count.

    Pairs are for what a batch may have much of or nothing: the error at one kind of token.
    """

    def __init__(self) -> None:
        self.totals: dict[str, Tensor] = {}

    def add(self, values: Mapping[str, Tensor], weight: float) -> None:
        """What one batch showed."""
        for name, value in values.items():
            pair = value
            if value.ndim == 0:
                pair = ops.stack([value * weight, ops.full((), weight, value.dtype)])
            pair = ops.stop_gradient(pair)
            self.totals[name] = self.totals[name] + pair if name in self.totals else pair

    def take(self) -> dict[str, float]:
        """The means since the last call, over all processes; what did not occur is left out."""
        pairs = [ops.numpy(pair) for pair in self.totals.values()]
        found = zip(self.totals, distributed.gather(pairs).sum(0), strict=True)
        self.totals = {}
        return {name: float(total / count) for name, (total, count) in found if count}
