from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from moyin.cli.prompts_file import read_rows
from moyin.inference.config import GenerationConfig

DEFAULTS = GenerationConfig(height=64, width=64, steps=3)


def rows_file(folder: Path, *rows: Any) -> Path:
    path = folder / "prompts.jsonl"
    path.write_text("".join(f"{r if isinstance(r, str) else json.dumps(r)}\n" for r in rows))
    return path


def test_rows_take_settings_and_carry_the_rest(tmp_path: Path) -> None:
    path = rows_file(
        tmp_path,
        {"id": "a", "prompt": "x"},
        "",
        {"id": "b-2", "prompt": "y", "size": "96x32", "seed": 7, "steps": 5, "subset": "zh"},
    )
    first, second = read_rows(path, DEFAULTS, seed=1)
    assert (first.settings, first.seed, first.more) == (DEFAULTS, 1, {})
    assert (second.settings.height, second.settings.width, second.settings.steps) == (32, 96, 5)
    assert (second.seed, second.more) == (7, {"subset": "zh"})


def test_a_manifest_s_rewriting_is_no_field_of_a_row(tmp_path: Path) -> None:
    row = {"id": "a", "prompt": "x", "rewriter": "large", "rewritten": "larger", "k": 1}
    assert read_rows(rows_file(tmp_path, row), DEFAULTS, seed=0)[0].more == {"k": 1}


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("{broken", "line 2"),
        ([1], "line 2: a row is an object"),
        ({"prompt": "x"}, "line 2: id None"),
        ({"id": "../escape", "prompt": "x"}, "line 2: id '../escape'"),
        ({"id": "a/b", "prompt": "x"}, "line 2: id"),
        ({"id": ".hidden", "prompt": "x"}, "line 2: id"),
        ({"id": "ok", "prompt": "x"}, "line 2: duplicate id ok"),
        ({"id": "b", "prompt": "  "}, "line 2: the prompt is missing or empty"),
        ({"id": "b", "prompt": "x", "size": "64x100"}, "line 2: height 100"),
        (
            {"id": "b", "prompt": "x", "size": "32x32", "width": 64},
            "line 2: give either size or height",
        ),
        ({"id": "b", "prompt": "x", "steps": "many"}, "line 2: steps must be a whole number"),
        ({"id": "b", "prompt": "x", "seed": True}, "line 2: seed True must be a whole"),
        ({"id": "b", "prompt": "x", "seed": "one"}, "line 2: seed"),
        ({"id": "b", "prompt": "x", "image": "a.png"}, r'line 2: .* "images": \[paths\]'),
        ({"id": "b", "prompt": "x", "images": "a.png"}, "line 2: images must be a list"),
        ({"id": "b", "prompt": "x", "images": ["absent.png"]}, "line 2: no image at"),
        (
            {"id": "b", "prompt": "x", "images": ["../a.png"]},
            "line 2: image ../a.png is outside of",
        ),
        (
            {"id": "b", "prompt": "x", "images": ["/etc/a.png"]},
            "line 2: image /etc/a.png is outside of",
        ),
        ({"id": "b", "prompt": "x", "stpes": 3}, "line 2: unknown field stpes: did you mean steps"),
    ],
)
def test_bad_row_is_named_by_line(tmp_path: Path, row: Any, told: str) -> None:
    path = rows_file(tmp_path, {"id": "ok", "prompt": "x"}, row)
    with pytest.raises(ValueError, match=told):
        read_rows(path, DEFAULTS, seed=0)


def test_no_file_and_no_rows(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        read_rows(tmp_path / "absent", DEFAULTS, seed=0)
    with pytest.raises(ValueError, match="no rows"):
        read_rows(rows_file(tmp_path), DEFAULTS, seed=0)
