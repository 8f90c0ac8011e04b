"""Run tasks in processes of this machine; results come in the order of the tasks.

Only a few tasks per worker are in flight, so an endless sequence of tasks takes no memory. A slow
task delays only the results after it.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import threading
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")
Results = Generator[tuple[T, R], None, None]

IN_FLIGHT = 2  # tasks per worker
MAX_KILLS = 3  # consecutive times that a task may end with a killed worker
KILLED = "the system killed a worker, perhaps for lack of memory"
ADVICE = "free some memory or lower decode.megapixels and start again; what is written is kept"


def ordered(work: Callable[[T], R], tasks: Iterable[T], workers: int) -> Results[T, R]:
    """Each task with its result, in order.

    `work` must be picklable. An error in it is raised here once the tasks in flight are done. If
    the system kills a worker, the tasks in flight are repeated by half as many workers;
    ChildProcessError if that happens repeatedly.
    """
    return _in_processes(work, tasks, workers) if workers > 1 else ((t, work(t)) for t in tasks)


def _in_processes(work: Callable[[T], R], tasks: Iterable[T], workers: int) -> Results[T, R]:
    tasks, pending, kills = iter(tasks), deque[T](), 0
    while kills < MAX_KILLS:
        try:
            for result in _until_killed(work, tasks, pending, workers):
                kills = 0
                yield result
            return
        except BrokenProcessPool:
            kills, workers = kills + 1, max(1, workers // 2)
            warnings.warn(f"{KILLED}: continuing with workers={workers}", stacklevel=3)
    raise ChildProcessError(f"{KILLED} {MAX_KILLS} times during one task: {ADVICE}")


def _until_killed(
    work: Callable[[T], R], tasks: Iterator[T], pending: deque[T], workers: int
) -> Results[T, R]:
    """Results of the pending tasks, then of further ones; a task without a result is pending."""
    # Spawned, not forked: a fork copies the locks of the parent's threads.
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, spawn, start_worker) as pool:
        try:
            futures = deque(pool.submit(work, task) for task in pending)
            while True:
                limit = max(0, workers * IN_FLIGHT + 1 - len(pending))
                for task in itertools.islice(tasks, limit):
                    pending.append(task)
                    futures.append(pool.submit(work, task))
                if not futures:
                    return
                result = futures.popleft().result()
                yield pending.popleft(), result
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def start_worker() -> None:
    """Ignore Ctrl-C, which the parent handles for the whole group, and end with the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
