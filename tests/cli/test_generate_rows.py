from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from command import Moyin
from PIL import Image

from moyin.inference.config import GenerationConfig
from moyin.prompt.grid import Grid


def test_batch_form_goes_on(moyin: Moyin) -> None:
    rows = [{"id": n, "prompt": n, "size": "32x32", "preview": False} for n in ("a", "b")]
    Path("rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert moyin("generate", "--prompts", "rows.jsonl", "--out", "d")[0] == 0
    before = Path("d/a.png").stat().st_mtime_ns
    Path("d/b.png").unlink()
    again = ("--prompts", "rows.jsonl", "--out", "d", "--batch", "2")
    assert moyin("generate", *again)[0] == 0
    assert Path("d/b.png").is_file()
    assert Path("d/a.png").stat().st_mtime_ns == before


def test_rows_edit_images(moyin: Moyin) -> None:
    Image.new("RGB", (40, 60), (200, 30, 30)).save("a.png")
    row = {"id": "a", "prompt": "warmer", "images": ["a.png"], "size": "96x64"}
    Path("rows.jsonl").write_text(json.dumps(row))
    assert moyin("generate", "--prompts", "rows.jsonl", "--out", "d")[0] == 0
    edit = ("edit", "warmer", "--image", "a.png", "--size", "96x64", "--out", "p.png")
    assert moyin(*edit)[0] == 0
    assert Path("d/a.png").read_bytes() == Path("p.png").read_bytes()


def test_the_memory_of_rows_is_theirs(moyin: Moyin, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not that of the size which no row has; and of as many as are drawn together."""
    asked: list[tuple[int, int, int]] = []

    def check(
        _: object, settings: GenerationConfig, references: Sequence[Grid], images: int
    ) -> None:
        asked.append((settings.height, len(references), images))
        if settings.height == 4096:
            raise ValueError("too large")

    monkeypatch.setattr("moyin.inference.pipeline.GlmImagePipeline.check_memory", check)
    Image.new("RGB", (40, 60)).save("a.png")
    rows = [
        {"id": "a", "prompt": "x", "size": "32x32"},
        {"id": "b", "prompt": "x", "size": "32x32"},
        {"id": "c", "prompt": "x", "size": "4096x4096", "images": ["a.png"]},
    ]
    Path("rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    code, _, err = moyin("generate", "--prompts", "rows.jsonl", "--out", "d", "--batch", "9")
    assert (code, err) == (2, "moyin: row c: too large\n")
    assert asked == [(32, 0, 3), (4096, 1, 3)]
    assert not list(Path().glob("d/*.png"))
    for options, images in (([], 1), (["--offload"], 2)):
        asked.clear()
        moyin("generate", "x", "--num-images", "2", "--no-preview", "--force", *options)
        assert asked == [(64, 0, images)]


def test_a_prompt_that_cannot_be_read_is_told_before_any_is_drawn(
    moyin: Moyin,
) -> None:
    rows = [{"id": "a", "prompt": "x"}, {"id": "b", "prompt": "x " * 4000}]
    Path("rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    code, _, err = moyin("generate", "--prompts", "rows.jsonl", "--out", "d")
    assert code == 2
    assert "row b: the prompt is" in err
    assert "shorten it to 2048" in err
    assert not list(Path().glob("d/*.png"))
