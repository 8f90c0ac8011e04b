from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chat import Chat
from loopback import Reply
from PIL import Image

from moyin.cli.prompts_file import read_rows
from moyin.clients.rewriter import Rewriter
from moyin.inference.batch import MANIFEST, run
from moyin.inference.config import GenerationConfig
from moyin.inference.request import GeneratedImage, Reference, Request
from moyin.inference.semantic_tokens import SemanticTokens

DEFAULTS = GenerationConfig(height=64, width=64, steps=3)
IDS = SemanticTokens(grid=np.zeros((2, 2), np.uint16), codes=4)


class Painter:
    """Stands for the pipeline: remembers what it was asked, fails after `limit` images."""

    def __init__(self, limit: int = 99) -> None:
        self.asked: list[str] = []
        self.read: list[str | None] = []
        self.together: list[int] = []
        self.limit = limit

    def __call__(self, jobs: list[Request]) -> list[GeneratedImage]:
        self.together.append(len(jobs))
        return [self.image(job) for job in jobs]

    def image(self, job: Request) -> GeneratedImage:
        if len(self.asked) == self.limit:
            raise KeyboardInterrupt
        self.asked.append(job.prompt)
        self.read.append(job.rewritten)
        facts = {"prompt": job.prompt, "seed": job.seed}
        return GeneratedImage(np.zeros((64, 64, 3), np.uint8), IDS, facts)


def rows_file(folder: Path, *rows: Any) -> Path:
    path = folder / "prompts.jsonl"
    path.write_text("".join(f"{r if isinstance(r, str) else json.dumps(r)}\n" for r in rows))
    return path


def manifest(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / MANIFEST).read_text().splitlines()]


def test_images_and_manifest(tmp_path: Path) -> None:
    rows = read_rows(
        rows_file(tmp_path, {"id": "a", "prompt": "x", "k": 1}, {"id": "b", "prompt": "y"}),
        DEFAULTS,
        seed=0,
    )
    out = tmp_path / "out"
    assert [drawn for _, drawn in run(rows, out, "digest", Painter())] == [True, True]
    assert sorted(p.name for p in out.iterdir()) == ["a.png", "b.png", MANIFEST]
    first = manifest(out)[0]
    assert (first["id"], first["file"], first["k"], first["height"]) == ("a", "a.png", 1, 64)


def test_starts_again_where_it_stopped(tmp_path: Path) -> None:
    path = rows_file(tmp_path, *({"id": str(i), "prompt": f"p{i}"} for i in range(4)))
    rows = read_rows(path, DEFAULTS, seed=0)
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        list(run(rows, out, "digest", Painter(limit=2)))
    with (out / MANIFEST).open("a") as f:
        f.write('{"id": "2", "prom')
    painter = Painter()
    list(run(rows, out, "digest", painter))
    assert painter.asked == ["p2", "p3"]
    assert [m["id"] for m in manifest(out)] == ["0", "1", "2", "3"]


def test_some_at_a_time(tmp_path: Path) -> None:
    path = rows_file(tmp_path, *({"id": str(i), "prompt": f"p{i}"} for i in range(5)))
    rows = read_rows(path, DEFAULTS, seed=0)
    out, painter = tmp_path / "out", Painter()
    list(run(rows[1:2], out, "digest", painter))
    told = list(run(rows, out, "digest", painter, batch_size=3))
    assert painter.together == [1, 3, 1]
    assert painter.asked == ["p1", "p0", "p2", "p3", "p4"]
    assert [(row.id, drawn) for row, drawn in told] == [
        ("1", False),
        ("0", True),
        ("2", True),
        ("3", True),
        ("4", True),
    ]


def test_what_changed_is_drawn_again(tmp_path: Path) -> None:
    out = tmp_path / "out"
    rows = read_rows(rows_file(tmp_path, {"id": "a", "prompt": "x"}), DEFAULTS, seed=0)
    list(run(rows, out, "digest", Painter()))
    for again, checkpoint in ((rows, "other digest"), (read_rows_again(tmp_path), "other digest")):
        painter = Painter()
        list(run(again, out, checkpoint, painter))
        assert len(painter.asked) == 1
    (out / "a.png").unlink()
    painter = Painter()
    list(run(read_rows_again(tmp_path), out, "other digest", painter))
    assert len(painter.asked) == 1


def test_rewritten_rows_are_not_asked_again(tmp_path: Path, chat: Chat) -> None:
    path = rows_file(tmp_path, *({"id": str(i), "prompt": f"p{i} “x”"} for i in range(3)))
    rows = read_rows(path, DEFAULTS, seed=0)
    out, painter = tmp_path / "out", Painter(limit=1)
    rewriter = Rewriter(url=chat.url, model="large")
    chat.replies = ["larger 0 “x”", "larger 1 “x”"]
    with pytest.raises(KeyboardInterrupt):
        list(run(rows, out, "digest", painter, rewriter=rewriter))
    assert painter.read == ["larger 0 “x”"]
    chat.replies, chat.asked, painter = ["larger 1 “x”", "larger 2 “x”"], [], Painter()
    list(run(rows, out, "digest", painter, batch_size=2, rewriter=rewriter))
    assert [asked.messages[1] for asked in chat.asked] == ["p1 “x”", "p2 “x”"]
    assert painter.asked == ["p1 “x”", "p2 “x”"]
    lines = manifest(out)
    assert [line["prompt"] for line in lines] == ["p0 “x”", "p1 “x”", "p2 “x”"]
    assert [line["rewritten"] for line in lines] == [f"larger {i} “x”" for i in range(3)]
    assert {line["rewriter"] for line in lines} == {"large"}
    done = run(rows, out, "digest", Painter(limit=0), rewriter=rewriter)
    assert [drawn for _, drawn in done] == [False] * 3


def test_other_rewriting_is_drawn_again(tmp_path: Path, chat: Chat) -> None:
    rows, out = read_rows_again(tmp_path), tmp_path / "out"
    chat.replies = ["one", "two"]
    read = []
    for model in (None, "a", "b", None):
        rewriter = Rewriter(url=chat.url, model=model) if model else None
        painter = Painter()
        list(run(rows, out, "digest", painter, rewriter=rewriter))
        read += painter.read
    assert read == [None, "one", "two", None]
    assert "rewritten" not in manifest(out)[-1]


def test_a_row_that_cannot_be_rewritten_is_named(tmp_path: Path, chat: Chat) -> None:
    path = rows_file(tmp_path, {"id": "a", "prompt": "x"}, {"id": "b", "prompt": "y"})
    chat.replies = ["larger", Reply(500, b"down")]
    rewriter = Rewriter(url=chat.url, model="large")
    out = tmp_path / "out"
    with pytest.raises(ValueError, match=r"^row b: the rewriter .* HTTP 500 \(down\)"):
        list(run(read_rows(path, DEFAULTS, seed=0), out, "digest", Painter(), rewriter=rewriter))
    assert [line["id"] for line in manifest(out)] == ["a"]


def encode(images: list[Any]) -> tuple[Reference, ...]:
    """Stands for the networks: a reference tells its image's first value."""
    return tuple(Reference(p[0, 0, :1], np.zeros(0)) for p in images)


def test_rows_edit_images(tmp_path: Path) -> None:
    for name, grey in (("a.png", 1), ("b.png", 2)):
        Image.new("L", (600, 520), grey).save(tmp_path / name)
    path = rows_file(
        tmp_path,
        {"id": "none", "prompt": "x"},
        {"id": "one", "prompt": "x", "images": ["b.png"]},
        {"id": "two", "prompt": "x", "size": "96x32", "images": [str(tmp_path / "a.png"), "b.png"]},
    )
    rows = read_rows(path, DEFAULTS, seed=0)
    sizes = [(row.settings.height, row.settings.width) for row in rows]
    assert sizes == [(64, 64), (512, 608), (32, 96)]
    assert read_rows(path, DEFAULTS, seed=0, sized=True)[1].settings == DEFAULTS
    seen: list[list[int]] = []

    def draw(jobs: list[Request]) -> list[GeneratedImage]:
        seen.extend([int(r.grid[0]) for r in job.references] for job in jobs)
        return Painter()(jobs)

    out = tmp_path / "out"
    list(run(rows, out, "digest", draw, batch_size=2, encode=encode))
    assert seen == [[], [2], [1, 2]]
    moved = (out / MANIFEST).rename(tmp_path / MANIFEST)
    again = read_rows(moved, DEFAULTS, seed=0)
    moved.rename(out / MANIFEST)
    assert [drawn for _, drawn in run(again, out, "digest", draw, encode=encode)] == [False] * 3
    Image.new("L", (600, 520), 3).save(tmp_path / "a.png")
    changed = read_rows(path, DEFAULTS, seed=0)
    assert [drawn for _, drawn in run(changed, out, "digest", draw, encode=encode)][-1]
    assert seen[3:] == [[3, 2]]


def read_rows_again(folder: Path) -> list[Any]:
    return read_rows(rows_file(folder, {"id": "a", "prompt": "another"}), DEFAULTS, seed=0)
