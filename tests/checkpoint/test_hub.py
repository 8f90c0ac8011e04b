from __future__ import annotations

from pathlib import Path

import pytest

from moyin.checkpoint import hub


def test_folder_without_index_is_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no model_index\.json"):
        hub.locate(tmp_path)
    (tmp_path / "model_index.json").write_text("{}")
    assert hub.locate(str(tmp_path)) == tmp_path


def test_path_that_is_not_there() -> None:
    with pytest.raises(ValueError, match="no checkpoint folder at /nowhere/at/all"):
        hub.locate("/nowhere/at/all")


def test_hub_id_is_fetched_without_pickles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {}

    def fetch(name: str, allow_patterns: list[str]) -> str:
        asked[name] = allow_patterns
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    (tmp_path / "model_index.json").write_text("{}")
    assert hub.locate("someone/image-model") == tmp_path
    assert not any("bin" in p or "pt" in p for p in asked["someone/image-model"])


def test_offline_hub_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(name: str, allow_patterns: list[str]) -> str:
        raise ConnectionError("no route")

    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    with pytest.raises(ValueError, match=r"no route.*network"):
        hub.locate("someone/image-model")


def test_default_is_named_by_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model_index.json").write_text("{}")
    monkeypatch.setenv(hub.VARIABLE, str(tmp_path))
    assert hub.locate() == tmp_path
    monkeypatch.delenv(hub.VARIABLE)
    monkeypatch.setattr(hub, "EMBEDDED", tmp_path / "absent")
    with pytest.raises(ValueError, match=hub.VARIABLE):
        hub.locate()
