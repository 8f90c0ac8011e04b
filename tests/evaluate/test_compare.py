from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from moyin.evaluate.compare import compare, show, verdict


def row(name: str, found: int, repeat: int = 0) -> dict[str, Any]:
    return {
        "id": name,
        "repeat": repeat,
        "sums": {
            "parts": 10,
            "parts found": found,
            "characters read": 10,
            "characters stray": found,
        },
    }


def report(folder: Path, rows: list[dict[str, Any]], **more: Any) -> Path:
    folder.mkdir()
    content = {"suite": "longtext-en", "engine": "an engine", "rows": rows, **more}
    (folder / "report.json").write_text(json.dumps(content), "utf-8")
    return folder


def test_a_paired_difference_by_hand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every prompt is better by two of ten, from one of ten to seven of ten."""
    first = report(tmp_path / "a", [row(str(n), n) for n in range(1, 6)] + [row("only here", 9)])
    second = report(tmp_path / "b", [row(str(n), n + 2, r) for n in range(1, 6) for r in range(2)])
    found = compare(first, second)
    assert (found["prompts"], found["left_out"]) == (5, 1)
    assert found["scores"]["text"] == [pytest.approx(0.3), pytest.approx(0.5)]
    assert found["differences"]["text"] == pytest.approx(0.2)
    assert found["intervals"]["text"] == [pytest.approx(0.2), pytest.approx(0.2)]
    show(found)
    told = capsys.readouterr().out
    line = next(line for line in told.splitlines() if line.strip().startswith("text"))
    assert line.split()[-1] == "B"
    line = next(line for line in told.splitlines() if line.strip().startswith("spurious"))
    assert line.split()[-1] == "A"  # more of it is worse
    assert "1 prompts that only one of them has are left out" in told


def test_the_other_way_round(tmp_path: Path) -> None:
    first = report(tmp_path / "a", [row(str(n), n % 5) for n in range(20)])
    second = report(tmp_path / "b", [row(str(n), (n * 7) % 5) for n in range(20)])
    there, back = compare(first, second), compare(second, first)
    assert there["differences"]["text"] == -back["differences"]["text"]
    low, high = there["intervals"]["text"]
    assert back["intervals"]["text"] == [pytest.approx(-high), pytest.approx(-low)]
    same = compare(first, first / "report.json")
    assert same["intervals"]["text"] == [0, 0]


def test_verdicts() -> None:
    assert verdict("text", 0.1, 0.2) == "B"
    assert verdict("text", -0.2, -0.1) == "A"
    assert verdict("text", -0.1, 0.2) == ""
    assert verdict("ed", 0.1, 0.2) == "A"


def test_what_cannot_be_compared(tmp_path: Path) -> None:
    first = report(tmp_path / "a", [row("1", 1)])
    other = report(tmp_path / "b", [row("1", 1)], engine="another")
    with pytest.raises(ValueError, match="engine an engine and another"):
        compare(first, other)
    with pytest.raises(ValueError, match="suite longtext-en and cvtg"):
        compare(first, report(tmp_path / "c", [row("1", 1)], suite="cvtg"))
    with pytest.raises(ValueError, match="no prompt in common"):
        compare(first, report(tmp_path / "d", [row("2", 1)]))
    unknown = report(tmp_path / "e", [], suite="x")
    with pytest.raises(ValueError, match="unknown suite, x"):
        compare(unknown, unknown)
    for rows in ([{"id": "1"}], [{"id": "1", "sums": {"a": "b"}}], "no rows", [1]):
        (first / "report.json").write_text(
            json.dumps({"suite": "cvtg", "engine": "e", "rows": rows}), "utf-8"
        )
        with pytest.raises(ValueError, match="holds no report"):
            compare(first, first)
    with pytest.raises(ValueError, match="holds no report"):
        compare(tmp_path, first)
