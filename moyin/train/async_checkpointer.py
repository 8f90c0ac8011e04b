"""States written beside the training: the next steps go on while the last state is on its way."""

from __future__ import annotations

import errno
import time
import warnings
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from moyin.backend import Tensor
from moyin.train import training_state

TRIES, PAUSE = 10, 30.0  # how often, and after how many seconds, what nothing follows is tried


class Keeper:
    """Writes one state at a time; use as a context, which waits for the last one.

    Where the disk has no room, it warns and goes on: the next state is tried again.
    """

    def __init__(self, out: Path, keep: int, keep_every: int) -> None:
        self.out, self.keep, self.keep_every = out, keep, keep_every
        self.pending: Future[Path] | None = None

    def __enter__(self) -> Keeper:
        self.pool = ThreadPoolExecutor(1)
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.wait()
        finally:
            self.pool.shutdown()

    def save(self, step: int, tensors: Mapping[str, Tensor], record: dict[str, Any]) -> None:
        """Let the tensors be written, which must not change; waits for the state before."""
        self.wait()
        self.pending = self.pool.submit(self._write, step, tensors, record)

    def save_last(self, step: int, tensors: Mapping[str, Tensor], record: dict[str, Any]) -> None:
        """Write a state that nothing follows, `patiently`."""
        self.wait()
        self.patiently(lambda: self._write(step, tensors, record), self.out / "state")

    def patiently(self, write: Callable[[], Path], place: Path) -> Path:
        """write(), again and again for some minutes while the disk has no room.

        OSError then says what to do, and from which step the training will go on.
        """
        left = TRIES
        while True:
            left -= 1
            try:
                return write()
            except Exception as e:
                if not training_state.full(e):
                    raise
                if not left:
                    raise OSError(errno.ENOSPC, self._told(place)) from e
            warnings.warn(
                f"no room on disk for {place}: free some. Trying again in {PAUSE:.0f} s, "
                f"{left} more times at most",
                stacklevel=3,
            )
            time.sleep(PAUSE)

    def _told(self, place: Path) -> str:
        kept = training_state.steps(self.out)
        further = f"goes on from step {kept[-1]}, whose state is kept" if kept else "begins anew"
        return f"no room on disk for {place}: free some, and the same command {further}"

    def _write(self, step: int, tensors: Mapping[str, Tensor], record: dict[str, Any]) -> Path:
        return training_state.save(self.out, step, tensors, record, self.keep, self.keep_every)

    def wait(self) -> None:
        """Until the state under way is written."""
        pending, self.pending = self.pending, None
        try:
            if pending is not None:
                pending.result()
        except Exception as e:
            if not training_state.full(e):
                raise
            warnings.warn(
                f"no room on disk for {self.out / 'state'}: free some. The training goes on and "
                "will try again",
                stacklevel=3,
            )
