from __future__ import annotations

import itertools
import os
import signal
from functools import partial
from pathlib import Path

import pytest

from moyin.data.run import local


def deadly(folder: Path, lives: int, number: int) -> int:
    """The square; number 3 kills its process the first `lives` times, as the system may."""
    deaths = len(list(folder.iterdir()))
    if number == 3 and deaths < lives:
        (folder / str(deaths)).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number**2


def test_the_work_of_a_killed_worker_is_done_again(tmp_path: Path) -> None:
    work = partial(deadly, tmp_path, 2)
    with pytest.warns(UserWarning, match="continuing with workers=1"):
        assert list(local.ordered(work, range(9), 2)) == [(n, n * n) for n in range(9)]
    assert len(list(tmp_path.iterdir())) == 2


def test_a_task_that_kills_every_worker_is_told(tmp_path: Path) -> None:
    done = []

    def run() -> None:
        for task, _ in local.ordered(partial(deadly, tmp_path, 99), itertools.count(), 2):
            done.append(task)

    told = pytest.raises(ChildProcessError, match="start again")
    with pytest.warns(UserWarning, match="lack of memory"), told:
        run()
    assert done == [0, 1, 2]
