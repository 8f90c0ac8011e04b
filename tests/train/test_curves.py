from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from moyin.train import curves


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """Two stages; the decoder stopped after step 20 and went on from the state of step 10."""
    steps = {"decoder": [10, 20, 20, 30], "autoencoder": [10, 20]}
    for stage, numbers in steps.items():
        (tmp_path / stage).mkdir()
        rows = [
            {"step": n, "loss": 4.0 / (i + 1), "images_per_s": 10.0 * (i + 1)}
            for i, n in enumerate(numbers)
        ]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (tmp_path / stage / "metrics.jsonl").write_text(text, "utf-8")
    return tmp_path


def test_steps_done_twice_count_once(trained: Path) -> None:
    stages = curves.read(trained)
    assert list(stages) == ["autoencoder", "decoder"]
    assert [row["step"] for row in stages["decoder"]] == [10, 20, 30]
    assert stages["decoder"][1]["loss"] == pytest.approx(4 / 3)


def test_report_prints_a_row_a_stage(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    curves.report(trained)
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    cells = {row[1]: [cell for cell in row if cell != "│"] for row in rows if len(row) > 9}
    assert cells["decoder"] == ["decoder", "30", "30.0", "4.0000", "1.0000"]
    assert cells["autoencoder"] == ["autoencoder", "20", "15.0", "4.0000", "2.0000"]


def test_the_image_shows_both_curves(trained: Path) -> None:
    pytest.importorskip("matplotlib")
    curves.report(trained)
    with Image.open(trained / curves.IMAGE) as image:
        wide, high = image.size
        halves = [image.crop((x, 0, x + wide // 2, high)) for x in (0, wide // 2)]
    # matplotlib's first colour, #1f77b4, is the curve's.
    for half in halves:
        colours = {c[:3] for _, c in half.convert("RGB").getcolors(1 << 20) or []}
        assert (0x1F, 0x77, 0xB4) in colours


def test_no_metrics(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="train a stage there first"):
        curves.report(tmp_path)
