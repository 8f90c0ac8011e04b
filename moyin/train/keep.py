"""States written beside the training: the next steps go on while the last state is on its way."""

from __future__ import annotations

import errno
import warnings
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from moyin.backend import Tensor
from moyin.train import state


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
        """Write a state that nothing follows. OSError where the disk is full."""
        self.wait()
        self._write(step, tensors, record)

    def _write(self, step: int, tensors: Mapping[str, Tensor], record: dict[str, Any]) -> Path:
        return state.save(self.out, step, tensors, record, self.keep, self.keep_every)

    def wait(self) -> None:
        """Until the state under way is written."""
        pending, self.pending = self.pending, None
        try:
            if pending is not None:
                pending.result()
        except OSError as e:
            if e.errno != errno.ENOSPC:
                raise
            warnings.warn(f"{e.strerror}. The training goes on and will try again", stacklevel=3)
