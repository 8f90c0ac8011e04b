"""Work on a Ray cluster; results come in the order of the tasks, as from `pool`."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import TypeVar

from moyin.data.run.local import AHEAD, Results

T = TypeVar("T")
R = TypeVar("R")

INSTALL = "a cluster needs Ray on every node: pip install 'moyin[ray]'"


def ordered(work: Callable[[T], R], tasks: Iterable[T], address: str) -> Results[T, R]:
    """Each task with its result, in order, from the cluster at `address`.

    Every node has the same Moyin, and sees the same files under the same paths. What a lost node
    was doing is done again on another. ConnectionError where there is no cluster.
    """
    try:
        import ray
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(INSTALL, name=error.name) from None
    ray.init(address=address, log_to_driver=False)
    try:
        remote, shared = ray.remote(max_retries=-1)(_done), ray.put(work)
        ahead = AHEAD * max(1, int(ray.cluster_resources().get("CPU", 1)))
        waiting = deque[tuple[T, ray.ObjectRef]]()
        for task in tasks:
            waiting.append((task, remote.remote(shared, task)))
            if len(waiting) > ahead:
                first, result = waiting.popleft()
                yield first, ray.get(result)
        while waiting:
            first, result = waiting.popleft()
            yield first, ray.get(result)
    finally:
        ray.shutdown()


def _done(work: Callable[[T], R], task: T) -> R:
    return work(task)
