from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import pytest

from moyin.backend import io, ops
from moyin.train import training_state


def saved(out: Path, step: int) -> Path:
    return training_state.save(out, step, {"weights.a": ops.full((2, 3), step)}, {"stage": "glyph"})


def found(out: Path) -> tuple[int, float]:
    """Step and value of the newest state."""
    newest = training_state.newest(out)
    assert newest is not None
    record, file = newest
    return record["step"], float(ops.numpy(io.load(file)["weights.a"])[0, 0])


def flip_last_byte(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def test_there_is_none_yet(tmp_path: Path) -> None:
    assert training_state.newest(tmp_path) is None


def test_the_newest_two_are_kept(tmp_path: Path) -> None:
    for step in (5, 10, 15):
        saved(tmp_path, step)
    names = sorted(p.name for p in (tmp_path / "state").iterdir())
    assert names == ["step-00000010", "step-00000015"]
    assert found(tmp_path) == (15, 15.0)


def test_how_many_are_kept(tmp_path: Path) -> None:
    """The newest three, and those of every twentieth step."""
    for step in range(4, 36, 4):
        training_state.save(
            tmp_path, step, {"weights.a": ops.ones((1,))}, {}, keep=3, keep_every=20
        )
    assert training_state.steps(tmp_path) == [20, 24, 28, 32]


def test_the_record_is_whole(tmp_path: Path) -> None:
    folder = saved(tmp_path, 7)
    record = json.loads((folder / training_state.RECORD).read_text())
    assert record == {
        "step": 7,
        "sha256": training_state.sha256(folder / training_state.WEIGHTS),
        "stage": "glyph",
    }


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: flip_last_byte(folder / training_state.WEIGHTS),
        lambda folder: (folder / training_state.WEIGHTS).write_bytes(b""),
        lambda folder: (folder / training_state.WEIGHTS).unlink(),
        lambda folder: (folder / training_state.RECORD).write_text('{"step": 10, "sha'),
        lambda folder: (folder / training_state.RECORD).write_text("{}"),
        lambda folder: (folder / training_state.RECORD).unlink(),
    ],
    ids=["flipped", "empty", "no weights", "cut record", "empty record", "no record"],
)
def test_a_damaged_state_gives_way_to_the_one_before_it(tmp_path: Path, damage: Any) -> None:
    saved(tmp_path, 5)
    damage(saved(tmp_path, 10))
    with pytest.warns(UserWarning, match=r"step-00000010 is damaged .*: taking the one before it"):
        assert found(tmp_path) == (5, 5.0)


@pytest.mark.filterwarnings("ignore:training state")
def test_where_all_are_damaged_the_user_decides(tmp_path: Path) -> None:
    for step in (5, 10):
        flip_last_byte(saved(tmp_path, step) / training_state.WEIGHTS)
    with pytest.raises(ValueError, match=r"every training state in .* is damaged: delete"):
        training_state.newest(tmp_path)


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        RuntimeError("I/O error: No space left on device (os error 28)"),
    ],
    ids=["the system's", "safetensors'"],
)
def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    saved(tmp_path, 5)

    def full(path: Path, *_: Any) -> None:
        path.write_bytes(b"half")
        raise error

    monkeypatch.setattr(io, "save", full)
    with pytest.raises(type(error)) as told:
        saved(tmp_path, 10)
    assert training_state.full(told.value)
    assert [p.name for p in (tmp_path / "state").iterdir()] == ["step-00000005"]
    assert found(tmp_path) == (5, 5.0)


def test_what_a_killed_process_left_is_swept_away(tmp_path: Path) -> None:
    left = tmp_path / "state" / ".step-00000008.part"
    left.mkdir(parents=True)
    (left / training_state.WEIGHTS).write_bytes(b"half")
    assert training_state.newest(tmp_path) is None
    saved(tmp_path, 10)
    assert not left.exists()


def test_a_state_is_written_again_in_its_place(tmp_path: Path) -> None:
    saved(tmp_path, 5)
    training_state.save(tmp_path, 5, {"weights.a": ops.full((2, 3), 9)}, {"stage": "glyph"})
    assert found(tmp_path) == (5, 9.0)
