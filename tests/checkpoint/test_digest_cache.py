"""Digests of large files are computed once, as long as the files stay as they are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from moyin.checkpoint.digest_cache import LARGE, VARIABLE, cache_folder, cached_digest

FIRST, SECOND = "0" * 64, "1" * 64


@pytest.fixture
def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of a gibibyte that takes no room."""
    monkeypatch.setenv(VARIABLE, str(tmp_path / "cache"))
    file = tmp_path / "large"
    with file.open("wb") as f:
        f.truncate(LARGE)
    return file


def test_a_large_file_is_read_once(large: Path) -> None:
    assert cached_digest([large], lambda: FIRST) == FIRST
    assert cached_digest([large], lambda: SECOND) == FIRST


def test_a_file_written_anew_is_read_anew(large: Path) -> None:
    cached_digest([large], lambda: FIRST)
    os.utime(large, ns=(0, 0))
    assert cached_digest([large], lambda: SECOND) == SECOND


def test_small_files_are_read_each_time(large: Path) -> None:
    os.truncate(large, LARGE - 1)
    cached_digest([large], lambda: FIRST)
    assert cached_digest([large], lambda: SECOND) == SECOND
    assert not cache_folder().exists()


def test_a_damaged_memory_is_not_believed(large: Path) -> None:
    cached_digest([large], lambda: FIRST)
    next(cache_folder().iterdir()).write_text("half")
    assert cached_digest([large], lambda: SECOND) == SECOND
    assert cached_digest([large], lambda: FIRST) == SECOND


def test_without_a_place_to_write_the_digest_is_still_right(large: Path) -> None:
    cache_folder().parent.parent.write_text("a file where the folder should be")
    assert cached_digest([large], lambda: FIRST) == FIRST
