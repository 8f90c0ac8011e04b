"""Shards: Parquet files of one column of bytes or scalars, each written whole or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

GROUP = 16  # rows a Parquet row group: what one random read has to load
SCALARS = {"float64": pa.float64(), "int64": pa.int64(), "text": pa.large_string()}


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file that takes the place of `path` once it is complete, synced to the disk.

    OSError says how to go on where the disk is full; nothing is left behind then.
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
            told = f"no room on disk for {path}: free some and start again; what is written is kept"
            raise OSError(errno.ENOSPC, told) from error
        raise
    finally:
        partial.unlink(missing_ok=True)


def write(path: Path, rows: Sequence[Any], kind: str = "bytes") -> None:
    """Write the rows as the shard `path`: bytes, or scalars of one of the kinds `SCALARS`."""
    table = pa.table({"row": pa.array(rows, SCALARS.get(kind, pa.large_binary()))})
    with replacing(path) as file:
        pq.write_table(table, file, row_group_size=GROUP, compression="none", use_dictionary=False)
    group.cache_clear()
    count.cache_clear()


@lru_cache(maxsize=4096)
def count(path: Path) -> int:
    """The rows of a shard; ValueError if it is damaged."""
    with _opened(path) as file:
        return int(file.metadata.num_rows)


@lru_cache(maxsize=64)
def group(path: Path, number: int) -> list[Any]:
    """The rows of one row group; ValueError if the shard is damaged."""
    with _opened(path) as file:
        rows: list[Any] = file.read_row_group(number).column("row").to_pylist()
    return rows


def row(path: Path, number: int) -> Any:
    """One row of a shard."""
    return group(path, number // GROUP)[number % GROUP]


def rows(path: Path) -> Iterator[Any]:
    """All rows of a shard, in order."""
    for number in range(-(-count(path) // GROUP)):
        yield from group(path, number)


def values(path: Path) -> np.ndarray[Any, Any]:
    """All rows of a shard of scalars: float64, int64, or strings as objects."""
    with _opened(path) as file:
        whole: np.ndarray[Any, Any] = file.read().column("row").to_numpy()
    return whole


@contextmanager
def _opened(path: Path) -> Iterator[pq.ParquetFile]:
    try:
        with pq.ParquetFile(path, memory_map=True) as file:
            yield file
    except (pa.ArrowInvalid, OSError) as error:
        told = f"shard {path} is damaged or cut short: delete it, and it is made anew"
        raise ValueError(told) from error
