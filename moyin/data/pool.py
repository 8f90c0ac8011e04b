"""Work in processes of this machine; results come in the order of the tasks.

A few tasks are under way at a time, so an endless row of them takes no memory, and one that is
slow holds up none but those far behind it.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")
Results = Generator[tuple[T, R], None, None]

AHEAD = 2  # tasks under way for each worker


def ordered(work: Callable[[T], R], tasks: Iterable[T], workers: int) -> Results[T, R]:
    """Each task with its result, in order.

    `work` must be picklable. An error in it is raised here, once the tasks under way are over.
    """
    return _in_processes(work, tasks, workers) if workers > 1 else ((t, work(t)) for t in tasks)


def _in_processes(work: Callable[[T], R], tasks: Iterable[T], workers: int) -> Results[T, R]:
    # Spawned, never forked: a fork copies the locks of whatever threads the parent runs.
    spawned = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, spawned, start_worker) as pool:
        try:
            submitted = ((task, pool.submit(work, task)) for task in tasks)
            for task, future in _ahead(submitted, workers * AHEAD):
                yield task, future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _ahead(submitted: Iterator[T], count: int) -> Iterator[T]:
    """The same row, but drawn `count` further than it is looked at."""
    waiting: deque[T] = deque()
    for one in submitted:
        waiting.append(one)
        if len(waiting) > count:
            yield waiting.popleft()
    yield from waiting


def start_worker() -> None:
    """Ctrl-C reaches the whole group, and the parent alone answers; a worker ends with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
