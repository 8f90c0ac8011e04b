"""Run tasks on a Ray cluster; results come in the order of the tasks, as from `run.local`."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import TypeVar

from moyin.data.run.local import IN_FLIGHT, Results

T = TypeVar("T")
R = TypeVar("R")

INSTALL = "a Ray cluster needs Ray on every node: pip install 'moyin[ray]'"


def ordered(work: Callable[[T], R], tasks: Iterable[T], address: str) -> Results[T, R]:
    """Each task with its result, in order, from the cluster at `address`.

    Every node needs the same version of Moyin and the same files under the same paths. Tasks of a
    lost node are repeated on another. ConnectionError if there is no cluster.
    """
    try:
        import ray
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(INSTALL, name=error.name) from None
    ray.init(address=address, log_to_driver=False)
    try:
        remote, shared = ray.remote(max_retries=-1)(_run), ray.put(work)
        limit = IN_FLIGHT * max(1, int(ray.cluster_resources().get("CPU", 1)))
        pending = deque[tuple[T, ray.ObjectRef]]()
        for task in tasks:
            pending.append((task, remote.remote(shared, task)))
            if len(pending) > limit:
                oldest, result = pending.popleft()
                yield oldest, ray.get(result)
        while pending:
            oldest, result = pending.popleft()
            yield oldest, ray.get(result)
    finally:
        ray.shutdown()


def _run(work: Callable[[T], R], task: T) -> R:
    return work(task)
