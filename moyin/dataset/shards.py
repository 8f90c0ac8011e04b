"""Shards: Arrow files that hold some rows of one column and are memory-mapped.

A row is a slice of the map, so a random row is read without loading the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from moyin.dataset.atomic_file import replacing

MAX_MAPPED = 256  # shards
SCALARS = {"float64": pa.float64(), "int64": pa.int64(), "text": pa.large_string()}


def write(path: Path, rows: Sequence[Any], kind: str = "bytes") -> None:
    """Write the rows as the shard `path`: bytes, or scalars if `kind` is one of SCALARS."""
    column = pa.array(rows, SCALARS.get(kind, pa.large_binary()))
    batch = pa.record_batch({"row": column})
    with replacing(path) as file, pa.ipc.new_file(file, batch.schema) as shard:
        shard.write_batch(batch)
    _mapped.cache_clear()


def count(path: Path) -> int:
    """Number of rows of a shard. ValueError if it is damaged."""
    return len(_mapped(path))


def row(path: Path, number: int) -> Any:
    """One row of a shard."""
    return _mapped(path)[number].as_py()


def rows(path: Path) -> Iterator[Any]:
    """All rows of a shard, in order."""
    return (scalar.as_py() for scalar in _mapped(path))


def values(path: Path) -> np.ndarray[Any, Any]:
    """All rows of a shard of scalars: float64, int64, or strings as objects."""
    column: np.ndarray[Any, Any] = _mapped(path).to_numpy(zero_copy_only=False)
    return column


@lru_cache(maxsize=MAX_MAPPED)
def _mapped(path: Path) -> Any:
    try:
        with pa.memory_map(str(path)) as file, pa.ipc.open_file(file) as shard:
            return shard.get_batch(0).column(0)
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(
            f"shard {path} is damaged: delete it and run again to recreate it"
        ) from error
