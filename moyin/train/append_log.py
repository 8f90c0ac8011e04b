"""Files that grow by whole records while a training runs, whether or not the disk has room."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

from moyin.train import training_state


class Growing:
    """A file that records are added to. Those for which there is no room wait for the next."""

    def __init__(self, path: Path) -> None:
        self.path, self.waiting = path, b""

    def add(self, record: bytes = b"") -> None:
        """Write what waits and then this, all or nothing; a warning where there is no room."""
        self.waiting += record
        size = self.path.stat().st_size if self.path.exists() else 0
        try:
            with self.path.open("ab") as f:
                f.write(self.waiting)
        except OSError as e:
            if not training_state.full(e):
                raise
            if self.path.exists():
                os.truncate(self.path, size)
            told = f"no room on disk for {self.path}: what belongs there waits for some"
            warnings.warn(told, stacklevel=2)
        else:
            self.waiting = b""
