from __future__ import annotations

import pytest
from command import Moyin


def test_doctor_tells_what_mends(moyin: Moyin, monkeypatch: pytest.MonkeyPatch) -> None:
    from moyin.cli import doctor

    known = doctor._version
    monkeypatch.setattr(doctor, "_version", lambda p: None if p == "torch" else known(p))
    code, out, _ = moyin("doctor")
    assert code == 0
    assert "pip install 'moyin[torch]'" in out
    assert "default checkpoint" in out
