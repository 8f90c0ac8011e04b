from __future__ import annotations

import re
from pathlib import Path

from command import Moyin


def test_inspect_checkpoint(moyin: Moyin, small_checkpoint: Path) -> None:
    from moyin.checkpoint.folder import Checkpoint

    code, out, _ = moyin("inspect", str(small_checkpoint))
    lines = out.splitlines()
    assert code == 0
    assert lines[-1] == f"digest {Checkpoint.open(small_checkpoint).digest()}"
    assert [line.split()[0] for line in lines[1:6]] == [
        "autoencoder",
        "glyph",
        "semantic",
        "generator",
        "decoder",
    ]
    assert "settings.steps 3" in lines


def test_inspect_training_state(moyin: Moyin, tmp_path: Path) -> None:
    from moyin.backend import ops
    from moyin.train import training_state

    tensors = {"weights.a": ops.ones((2, 3)), "average.a": ops.ones((2, 3))}
    for out in ("one", "two"):
        training_state.save(
            tmp_path / out, 7, tensors, {"stage": "glyph", "training": {"out": out}}
        )
    reports = [moyin("inspect", str(tmp_path / out))[1] for out in ("one", "two")]
    assert "step 7" in reports[0].splitlines()
    assert "stage glyph" in reports[0].splitlines()
    digests = {r.splitlines()[-1] for r in reports}
    assert len(digests) == 1
    assert digests.pop().startswith("digest ")


def test_inspect_dataset(moyin: Moyin) -> None:
    assert moyin("prepare", "smoke/images", "count=2", "--out", "s")[0] == 0
    code, out, _ = moyin("inspect", "s")
    lines = out.splitlines()
    assert code == 0
    assert any(line.split()[:3] == ["image", "2", "rows"] for line in lines)
    assert "seed 0" in lines
    assert re.fullmatch("digest [0-9a-f]{64}", lines[-1])
