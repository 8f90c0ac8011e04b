"""Training state on disk: whole or not there, checked, and the newest good one found again.

OUT/state/step-00001000/ holds weights.safetensors (parameters, their average and the optimizer's
moments) and state.json (step, configuration, sha256 of the weights).
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from moyin.backend import Tensor, io

KEEP = 2
WEIGHTS = "weights.safetensors"
RECORD = "state.json"


def save(
    out: Path,
    step: int,
    tensors: Mapping[str, Tensor],
    record: dict[str, Any],
    keep: int = KEEP,
    keep_every: int = 0,
) -> Path:
    """Write a state, and drop all but the newest `keep` and those of every `keep_every` steps.

    OSError where the disk is full; nothing of the state is left then (`full`).
    """
    folder = out / "state"
    final, part = folder / f"step-{step:08d}", folder / f".step-{step:08d}.part"
    for left_over in folder.glob(".step-*.part"):
        shutil.rmtree(left_over, ignore_errors=True)
    try:
        part.mkdir(parents=True)
        io.save(part / WEIGHTS, tensors)
        whole = {"step": step, "sha256": sha256(part / WEIGHTS), **record}
        (part / RECORD).write_text(json.dumps(whole, indent=2) + "\n", "utf-8")
        for path in (*part.iterdir(), part):
            _fsync(path)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    shutil.rmtree(final, ignore_errors=True)
    part.rename(final)
    _fsync(folder)
    for old in steps(out)[:-keep]:
        if not keep_every or old % keep_every:
            shutil.rmtree(folder / f"step-{old:08d}", ignore_errors=True)
    return final


def full(error: Exception) -> bool:
    """Whether a disk without room is what it tells of, in the system's words or safetensors'."""
    known = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    return known or "No space left" in str(error) or "quota exceeded" in str(error)


def steps(out: Path) -> list[int]:
    """The steps of which there is a state, good or damaged, the newest last."""
    return sorted(int(p.name.removeprefix("step-")) for p in (out / "state").glob("step-*"))


def newest(out: Path) -> tuple[dict[str, Any], Path] | None:
    """Record and tensors' file of the newest complete state, None where there is none yet.

    A damaged one is passed over with a warning. ValueError if all are damaged: to begin anew
    is for the user to decide.
    """
    folders = sorted((out / "state").glob("step-*"), reverse=True)
    for folder in folders:
        try:
            record = json.loads((folder / RECORD).read_text("utf-8"))
            if sha256(folder / WEIGHTS) != record["sha256"]:
                raise ValueError("its checksum differs")
            return record, folder / WEIGHTS
        except (OSError, ValueError, KeyError) as e:
            warnings.warn(
                f"training state {folder} is damaged ({e}): taking the one before it",
                stacklevel=2,
            )
    if folders:
        raise ValueError(
            f"every training state in {out / 'state'} is damaged: delete that folder to begin anew"
        )
    return None


def sha256(path: Path) -> str:
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def _fsync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
