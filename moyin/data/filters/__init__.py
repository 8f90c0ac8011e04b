"""Stages: pure functions over batches of items, each dropping some with a reason.

A stage sees only items that are kept so far, and its result depends on nothing but them and its
configuration, so that it may run anywhere, in any order, and again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from moyin.data.item import Item


class Stage(Protocol):
    """What `Config.build` of every stage makes; `name` stands in decisions and reports."""

    name: str

    def __call__(self, items: Sequence[Item]) -> list[Item]:
        """The items in their order, changed or dropped."""
        ...


class StageConfig(Protocol):
    """A frozen dataclass, so that a worker process can make the stage for itself."""

    def build(self) -> Stage: ...


def run(stages: Sequence[Stage], items: Sequence[Item]) -> list[Item]:
    """All items in their order, after all stages."""
    results = list(items)
    for stage in stages:
        kept = [i for i, item in enumerate(results) if item.kept]
        changed = stage([results[i] for i in kept])
        for i, item in zip(kept, changed, strict=True):
            results[i] = item
    return results
