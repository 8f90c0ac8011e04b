"""Every test of the command line runs in a folder of its own, with the small checkpoint."""

from __future__ import annotations

from pathlib import Path

import pytest
from command import Moyin

from moyin.cli import main


@pytest.fixture(autouse=True)
def _working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_checkpoint: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MOYIN_CHECKPOINT", str(small_checkpoint))


@pytest.fixture
def moyin(capsys: pytest.CaptureFixture[str]) -> Moyin:
    def run(*arguments: str) -> tuple[int, str, str]:
        code = main([*arguments])
        output = capsys.readouterr()
        return code, output.out, output.err

    return run
