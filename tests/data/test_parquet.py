from __future__ import annotations

import errno
import os
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from moyin.data import parquet

ROWS = [bytes([n]) * n for n in range(40)]


def test_rows_come_back_and_others_can_read_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a" / "0.parquet"
    parquet.write(path, ROWS)
    assert parquet.count(path) == 40
    assert [parquet.row(path, n) for n in (39, 0, 16)] == [ROWS[39], ROWS[0], ROWS[16]]
    assert list(parquet.rows(path)) == ROWS
    assert pq.read_table(path).column(0).to_pylist() == ROWS


def test_a_shard_that_is_written_again_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "0.parquet"
    for rows in (ROWS, ROWS[::-1]):
        parquet.write(path, rows)
        assert list(parquet.rows(path)) == rows


@pytest.mark.parametrize("kept", [0, 10, 300])
def test_a_shard_cut_short_is_named(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "7.parquet"
    parquet.write(path, ROWS)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"7\.parquet is damaged or cut short: delete it"):
        parquet.count(path)


def test_a_full_disk_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "0.parquet"
    parquet.write(path, ROWS)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"no room on disk.*start again"):
        parquet.write(path, ROWS[:3])
    assert list(tmp_path.iterdir()) == [path]
    assert list(parquet.rows(path)) == ROWS


def test_work_that_is_stopped_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "0.parquet"

    def stopped() -> None:
        with parquet.replacing(path) as file:
            file.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert list(tmp_path.iterdir()) == []
