"""Whether a training goes well: its losses' middle value now, at the beginning, and at its best."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Any

WINDOW = 32  # updates: long enough that single batches do not count
ABOVE_BEST, ABOVE_START = 2.0, 1.2


class Watch:
    """Sees the loss of every update; its `record` goes into the training state."""

    def __init__(self) -> None:
        self.last: list[float] = []
        self.start: float | None = None
        self.best = float("inf")

    def see(self, loss: float) -> None:
        """One more update's loss."""
        self.last = [*self.last, loss][-WINDOW:]
        if len(self.last) == WINDOW:
            self.start = self.now if self.start is None else self.start
            self.best = min(self.best, self.now)

    @property
    def now(self) -> float:
        """The middle one of the last losses."""
        return statistics.median(self.last)

    @property
    def rising(self) -> bool:
        """Whether the loss is on its way there: a state saved now might be spoilt already."""
        return self._above(1 + (ABOVE_BEST - 1) / 2)

    @property
    def diverged(self) -> bool:
        """Whether it stands twice above its best and above where it began."""
        return self._above(ABOVE_BEST)

    def _above(self, times: float) -> bool:
        if self.start is None or self.best <= 0:  # twice a negative loss would say nothing
            return False
        return self.now > times * self.best and self.now > ABOVE_START * self.start

    def record(self) -> dict[str, Any]:
        """As JSON holds it."""
        best = self.best if self.start is not None else None
        return {"last": self.last, "start": self.start, "best": best}

    def restore(self, record: Mapping[str, Any]) -> None:
        """The inverse of `record`."""
        self.last, self.start = list(record["last"]), record["start"]
        self.best = float("inf") if record["best"] is None else record["best"]
