"""Work in processes of this machine; results come in the order of the tasks.

A few tasks are under way at a time, so an endless row of them takes no memory, and one that is
slow holds up none but those far behind it.
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

AHEAD = 2  # tasks under way for each worker
KILLS = 3  # so often one task may end with a worker that is killed
KILLED = "the system killed a worker, for want of memory perhaps"
MEND = "free some memory or lower decode.megapixels and start again; what is written is kept"


def ordered(work: Callable[[T], R], tasks: Iterable[T], workers: int) -> Results[T, R]:
    """Each task with its result, in order.

    `work` must be picklable. An error in it is raised here, once the tasks under way are over.
    Where the system kills a worker, what was under way is done again, by half as many workers;
    ChildProcessError where that happens again and again.
    """
    return _in_processes(work, tasks, workers) if workers > 1 else ((t, work(t)) for t in tasks)


def _in_processes(work: Callable[[T], R], tasks: Iterable[T], workers: int) -> Results[T, R]:
    tasks, waiting, killed = iter(tasks), deque[T](), 0
    while killed < KILLS:
        try:
            for done in _until_killed(work, tasks, waiting, workers):
                killed = 0
                yield done
            return
        except BrokenProcessPool:
            killed, workers = killed + 1, max(1, workers // 2)
            warnings.warn(f"{KILLED}: going on with workers={workers}", stacklevel=3)
    raise ChildProcessError(f"{KILLED} {KILLS} times over one task: {MEND}")


def _until_killed(
    work: Callable[[T], R], tasks: Iterator[T], waiting: deque[T], workers: int
) -> Results[T, R]:
    """Results of the tasks that wait, and then of further ones; what has none yet is waiting."""
    # Spawned, never forked: a fork copies the locks of whatever threads the parent runs.
    spawned = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, spawned, start_worker) as pool:
        try:
            futures = deque(pool.submit(work, task) for task in waiting)
            while True:
                for task in itertools.islice(tasks, max(0, workers * AHEAD + 1 - len(waiting))):
                    waiting.append(task)
                    futures.append(pool.submit(work, task))
                if not futures:
                    return
                result = futures.popleft().result()
                yield waiting.popleft(), result
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def start_worker() -> None:
    """Ctrl-C reaches the whole group, and the parent alone answers; a worker ends with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
