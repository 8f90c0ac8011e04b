from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from moyin.train.metrics import METRICS, Report


def rows(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / METRICS).read_text().splitlines()]


def write(out: Path, start: int, steps: list[int], flops: float = 1e9) -> None:
    with Report(out, "glyph", start, 100, peak=1e12) as report:
        for step in steps:
            report.advance(step, 8, flops)
            report.metrics(step, {"loss": 1 / step})


def scalars(out: Path, tag: str) -> list[tuple[int, float]]:
    """What tensorboard's own reader finds."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    found = accumulator.EventAccumulator(str(out / "tensorboard"))
    found.Reload()
    return [(e.step, e.value) for e in found.Scalars(tag)]


def test_metrics_and_events(tmp_path: Path) -> None:
    write(tmp_path, 0, [10, 20])
    first, second = rows(tmp_path)
    assert (first["step"], first["loss"], second["step"]) == (10, 0.1, 20)
    assert first["images_per_s"] > 0
    assert first["share_of_peak"] > 0
    assert scalars(tmp_path, "loss") == [(10, pytest.approx(0.1)), (20, pytest.approx(0.05))]


def test_a_training_that_goes_on_forgets_the_steps_that_were_lost(tmp_path: Path) -> None:
    write(tmp_path, 0, [10, 20, 30])
    with (tmp_path / METRICS).open("a") as f:
        f.write('{"step": 40, "lo')
    write(tmp_path, 20, [30, 50])
    assert [row["step"] for row in rows(tmp_path)] == [10, 20, 30, 50]
    assert [step for step, _ in scalars(tmp_path, "loss")] == [10, 20, 30, 50]


def test_an_unknown_share_is_left_out(tmp_path: Path) -> None:
    write(tmp_path, 0, [10], flops=float("nan"))
    assert "share_of_peak" not in rows(tmp_path)[0]


def fill(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is opened is /dev/full, which never has any room."""
    real = Path.open
    monkeypatch.setattr(Path, "open", lambda self, mode: real(Path("/dev/full"), mode))


def test_a_full_disk_costs_no_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Report(tmp_path, "glyph", 0, 100, peak=1e12) as report:
        report.metrics(10, {"loss": 0.5})
        with monkeypatch.context() as patch:
            fill(patch)
            with pytest.warns(UserWarning, match=r"metrics.jsonl: what belongs there waits"):
                report.metrics(20, {"loss": 0.25})
            with pytest.warns(UserWarning, match=r"step-00000020.png: it is left out"):
                report.image(20, np.zeros((4, 4, 3), np.uint8))
        report.metrics(30, {"loss": 0.125})
        with monkeypatch.context() as patch:
            fill(patch)
            with pytest.warns(UserWarning, match="no room on disk"):
                report.metrics(40, {"loss": 0.0625})
    losses = [(10, 0.5), (20, 0.25), (30, 0.125), (40, 0.0625)]
    assert [(row["step"], row["loss"]) for row in rows(tmp_path)] == losses
    assert scalars(tmp_path, "loss") == losses
