from __future__ import annotations

import json
from pathlib import Path

import pytest
from chat import Chat
from command import Moyin
from PIL import Image

from moyin.inference.output import read_metadata


def rewrite(chat: Chat) -> tuple[str, ...]:
    return ("--rewrite", chat.url, "--rewrite-model", "large")


def test_rewritten_prompt(moyin: Moyin, monkeypatch: pytest.MonkeyPatch, chat: Chat) -> None:
    monkeypatch.setenv("MOYIN_REWRITE_KEY", "sk-0123456789")
    chat.replies = ["红底金花，正中写着“春天”"]
    options = ("--num-images", "2", "--save-tokens", "i.npz", "--out", "p.png")
    code, out, err = moyin("generate", "写着“春天”", *rewrite(chat), *options)
    assert (code, out) == (0, "p-1.png\np-2.png\n")
    assert err.startswith("红底金花，正中写着“春天”\n")
    assert len(chat.asked) == 1
    for name in ("p-1.png", "p-2.png"):
        text = read_metadata(Path(name))
        assert (text["prompt"], text["rewritten"]) == ("写着“春天”", "红底金花，正中写着“春天”")
        assert b"sk-0123456789" not in Path(name).read_bytes()
    moyin("generate", "--from-tokens", "i-1.npz", "--out", "decoded.png")
    moyin("generate", "红底金花，正中写着“春天”", "--out", "plain.png")
    moyin("generate", "写着“春天”", "--out", "short.png")
    names = ("p-1.png", "decoded.png", "plain.png", "short.png")
    pixels = [Image.open(name).tobytes() for name in names]
    assert pixels[0] == pixels[1] == pixels[2] != pixels[3]


def test_rewritten_edit(moyin: Moyin, chat: Chat) -> None:
    Image.new("RGB", (40, 60), (200, 30, 30)).save("a.png")
    chat.replies = ["much warmer"]
    edit = ("edit", "warmer", "--image", "a.png", "--size", "64x64", "--out", "p.png")
    assert moyin(*edit, *rewrite(chat))[0] == 0
    text = read_metadata(Path("p.png"))
    assert (text["prompt"], text["rewritten"]) == ("warmer", "much warmer")


def test_rewritten_rows(moyin: Moyin, chat: Chat) -> None:
    rows = [{"id": n, "prompt": n, "size": "32x32", "preview": False} for n in ("a", "b")]
    Path("rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    batch = ("generate", "--prompts", "rows.jsonl", "--out", "d", *rewrite(chat))
    chat.replies = ["a large a", "a large b"]
    for _ in range(2):
        assert moyin(*batch)[0] == 0
    assert len(chat.asked) == 2
    lines = [json.loads(line) for line in Path("d/manifest.jsonl").read_text().splitlines()]
    assert [(x["prompt"], x["rewritten"]) for x in lines] == [
        ("a", "a large a"),
        ("b", "a large b"),
    ]
    text = read_metadata(Path("d/b.png"))
    assert (text["prompt"], text["rewritten"]) == ("b", "a large b")


def test_rewriting_that_fails_is_one_line(moyin: Moyin, chat: Chat) -> None:
    chat.replies = ["a “lamp”", "a “lamp”"]
    code, _, err = moyin("generate", "a “sign”", *rewrite(chat))
    assert code == 2
    assert err.startswith('moyin: the rewriter\'s answer lost ["sign"] and added ["lamp"]')
    assert err.count("\n") == 1
    assert not list(Path().glob("*.png"))
