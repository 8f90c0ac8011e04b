"""Files that are written completely or not at all, even if the process is killed."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file that replaces `path` once it is complete and synced to the disk.

    Nothing is left behind on an error. OSError if the disk is full; its message says how to
    continue.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            message = f"no room on disk for {path}: free some and start again; what is written"
            raise OSError(errno.ENOSPC, f"{message} is kept") from error
        raise
    finally:
        partial.unlink(missing_ok=True)
