"""Progress of long work, reported to a callback; the command line draws it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

OnProgress = Callable[[str, int, int], None]  # name of the work, units done, units in all


def ignore(work: str, done: int, total: int) -> None:
    """Report nothing."""


def track(items: Iterable[T], work: str, total: int, on_progress: OnProgress) -> Iterator[T]:
    """The items; progress is reported before the first and after each."""
    on_progress(work, 0, total)
    for done, item in enumerate(items, 1):
        yield item
        on_progress(work, done, total)
