"""Stages: pure functions over batches of items that measure, change or drop them.

A stage receives only items that are still kept. Its result depends on nothing but them and its
configuration, so it may run anywhere, in any order, and again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from moyin.data.item import Item


class Stage(Protocol):
    """What `Config.build` of every stage returns. `name`: its name in the manifest and reports."""

    name: str

    def __call__(self, items: Sequence[Item]) -> list[Item]:
        """The items in the same order, changed or dropped."""
        ...


class StageConfig(Protocol):
    """A frozen dataclass, from which a worker process builds the stage."""

    def build(self) -> Stage: ...


def run(stages: Sequence[Stage], items: Sequence[Item]) -> list[Item]:
    """All items in the same order, after all stages."""
    results = list(items)
    for stage in stages:
        kept = [i for i, item in enumerate(results) if item.kept]
        changed = stage([results[i] for i in kept])
        for i, item in zip(kept, changed, strict=True):
            results[i] = item
    return results
