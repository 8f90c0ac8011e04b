from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from moyin.inference.semantic_tokens import SemanticTokens

GRID = np.arange(32 * 32, dtype=np.uint16).reshape(32, 32) * 15


def test_saved_and_loaded(tmp_path: Path) -> None:
    ids = SemanticTokens(grid=GRID, codes=16384, prompt="“春天”", preview=GRID[:16, :16], sample=3)
    ids.save(tmp_path / "x.ids")
    back = SemanticTokens.load(tmp_path / "x.ids")
    np.testing.assert_array_equal(back.grid, ids.grid)
    np.testing.assert_array_equal(back.preview, ids.preview)  # type: ignore[arg-type]
    assert (back.codes, back.prompt, back.height, back.width) == (16384, "“春天”", 1024, 1024)
    assert back.sample == 3


def test_a_file_without_a_sample_is_the_first(tmp_path: Path) -> None:
    np.savez(tmp_path / "old.npz", grid=GRID, codes=16384, prompt="x")
    assert SemanticTokens.load(tmp_path / "old.npz").sample == 0


def test_the_file_is_small_and_plain_numpy(tmp_path: Path) -> None:
    SemanticTokens(grid=GRID, codes=16384).save(tmp_path / "x.npz")
    assert (tmp_path / "x.npz").stat().st_size < 4000
    with np.load(tmp_path / "x.npz", allow_pickle=False) as parts:
        assert set(parts) == {"grid", "codes", "prompt", "seed", "sample"}
        assert parts["grid"].dtype == np.uint16


def test_bad_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no semantic tokens at"):
        SemanticTokens.load(tmp_path / "absent")
    (tmp_path / "text").write_text("hello")
    (tmp_path / "empty").write_bytes(b"")
    np.savez(tmp_path / "other.npz", x=GRID)
    np.savez(tmp_path / "pickled.npz", grid=np.array([{}], object), codes=1, prompt="")
    SemanticTokens(grid=GRID, codes=16384).save(tmp_path / "cut")
    (tmp_path / "cut").write_bytes((tmp_path / "cut").read_bytes()[:500])
    for name in ("text", "empty", "other.npz", "pickled.npz", "cut"):
        with pytest.raises(ValueError, match=f"{name} holds no semantic tokens"):
            SemanticTokens.load(tmp_path / name)


def test_ids_beyond_the_codebook_are_refused() -> None:
    with pytest.raises(ValueError, match="token 15345"):
        SemanticTokens(grid=GRID, codes=2048)
    with pytest.raises(ValueError, match="uint16"):
        SemanticTokens(grid=GRID.astype(np.int64), codes=16384)  # type: ignore[arg-type]
