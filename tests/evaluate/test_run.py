from __future__ import annotations

import json
from pathlib import Path

import pytest

from moyin.evaluate.run import Options, run
from moyin.evaluate.suite import nano_50


@pytest.fixture
def _reader(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that always reads the same, so that none need be there."""
    from moyin.recognise import ocr

    monkeypatch.setattr(ocr, "name", lambda: "a parrot")
    monkeypatch.setattr(ocr, "recognise", lambda crop: ocr.Reading("和", 1.0))


@pytest.mark.usefixtures("_reader")
def test_a_run_and_its_second_start(
    tmp_path: Path, small_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = Options(count=2, steps=1, preview=False)
    path = run("nano-50", str(small_checkpoint), tmp_path / "r", options)
    report = json.loads(path.read_text("utf-8"))
    assert report["ocr"] == "a parrot"
    assert report["settings"]["steps"] == 1
    assert [p["asked"]["prompt"] for p in report["pictures"]] == [o.prompt for o in nano_50()[:2]]
    # The parrot says the first of the two texts; of a perfect picture all the rest is right.
    ceiling = report["ceiling"]
    assert (ceiling["Chinese"]["exact"], ceiling["English"]["exact"]) == (1, 0)
    assert ceiling["all"]["background"] == ceiling["all"]["colour"] == ceiling["all"]["place"] == 1
    assert "a parrot" in capsys.readouterr().out
    assert (tmp_path / "r" / "sheet.png").is_file()

    drawn = [tmp_path / "r" / "pictures" / f"{one.id}.png" for one in nano_50()[:2]]
    before = drawn[0].stat().st_mtime_ns
    drawn[1].unlink()
    run("nano-50", str(small_checkpoint), tmp_path / "r", options)
    assert drawn[0].stat().st_mtime_ns == before
    assert drawn[1].is_file()
    assert json.loads(path.read_text("utf-8")) == report


def test_bad_input(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there are: nano-50"):
        run("nano-5", None, tmp_path)
    with pytest.raises(ValueError, match="count must be at least 1"):
        Options(count=0)
