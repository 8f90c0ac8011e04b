from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from moyin.dataset import shards

ROWS = [bytes([n]) * n for n in range(40)]


def test_rows_come_back_and_others_can_read_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a" / "0.arrow"
    shards.write(path, ROWS)
    assert shards.count(path) == 40
    assert [shards.row(path, n) for n in (39, 0, 16)] == [ROWS[39], ROWS[0], ROWS[16]]
    assert list(shards.rows(path)) == ROWS
    with pa.ipc.open_file(path) as file:
        assert file.read_all().column(0).to_pylist() == ROWS


def test_a_shard_that_is_written_again_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "0.arrow"
    for rows in (ROWS, ROWS[::-1]):
        shards.write(path, rows)
        assert list(shards.rows(path)) == rows


@pytest.mark.parametrize("kept", [0, 10, 300, -1])
def test_a_shard_cut_short_is_named(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "7.arrow"
    shards.write(path, ROWS)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"7\.arrow is damaged: delete it"):
        shards.count(path)
