"""The field's benchmarks as suites: those that ship, and those read from the user's files."""

from __future__ import annotations

import ast
import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from moyin.evaluate.task import (
    Item,
    Suite,
    perfect_character,
    perfect_page,
    read_ink,
    read_whole,
    without_text,
)
from moyin.ocr import benchmark_scores
from moyin.render import assets

FOLDER = Path(__file__).parents[1] / "assets"
LARGEST = 2**26  # bytes of a file of prompts
_NAME = re.compile(r"\w[\w.-]{0,99}")
_PAPER = "Published scores were read by {engine}: do not set these beside them without saying so."

CVTG_PARTS = tuple((kind, count) for kind in ("CVTG", "CVTG-Style") for count in (2, 3, 4, 5))
FETCH_CVTG = (
    "CVTG-2K's prompts may not be shipped: git clone --depth 1 "
    "https://github.com/zlab-princeton/i1 and add prompts=i1/benchmark_eval/cvtg-2k/prompts"
)
FETCH_ONEIG = (
    "OneIG-Bench's prompts may not be shipped: git clone --depth 1 "
    "https://github.com/OneIG-Bench/OneIG-Benchmark and add "
    "prompts=OneIG-Benchmark/scripts/text/{file}"
)


def cvtg(prompts: Path | None) -> Suite:
    """CVTG-2K from a folder `{CVTG,CVTG-Style}/{2,3,4,5}.json`.

    Raises ValueError where the folder is not named, or a file is missing or another's.
    """
    if prompts is None:
        raise ValueError(FETCH_CVTG)
    rows = []
    for kind, count in CVTG_PARTS:
        path = prompts / kind / f"{count}.json"
        content = _parsed(path, lambda text: json.loads(text)["data_list"], FETCH_CVTG)
        rows += [(path, kind, count, row) for row in content]
    items = tuple(_cvtg_item(i, *row) for i, row in enumerate(rows))
    return _checked(
        Suite(
            name="cvtg",
            items=items,
            scorer=benchmark_scores.cvtg,
            headline="ned",
            look=read_whole,
            perfect=perfect_page,
            note=_PAPER.format(engine='PaddleOCR 2.10 ("en")'),
        )
    )


def _cvtg_item(number: int, path: Path, kind: str, count: int, row: Any) -> Item:
    index, prompt = _field(path, row, "index", int), _field(path, row, "prompt", str)
    return Item(
        number=number,
        id=f"{kind}-{count}-{index}",
        prompt=prompt,
        texts=tuple(re.findall(r"'(.*?)'", prompt)),
        asked=tuple(benchmark_scores.cvtg_words(prompt)),
        groups=(f"{kind} {count}",),
        stem=f"{kind}/{count}/{index}",
    )


def longtext(language: str, prompts: Path | None) -> Suite:
    """LongText-Bench, en or zh: the prompts that ship, or those of another file of its form."""
    shipped = "text_prompts.jsonl" if language == "en" else "text_prompts_zh.jsonl"
    path = prompts or FOLDER / "longtext" / shipped
    rows = _parsed(path, lambda text: [json.loads(x) for x in text.splitlines() if x.strip()])
    return _checked(
        Suite(
            name=f"longtext-{language}",
            items=tuple(_longtext_item(i, path, row) for i, row in enumerate(rows)),
            scorer=benchmark_scores.longtext(language),
            headline="text",
            look=read_whole,
            perfect=perfect_page,
            repeats=4,
            note=_PAPER.format(engine="Qwen2.5-VL-7B"),
        )
    )


def _longtext_item(number: int, path: Path, row: Any) -> Item:
    texts = _field(path, row, "text", list)
    if not all(isinstance(text, str) for text in texts):
        raise ValueError(f"{path} row {number + 1}: text must hold strings")
    return Item(
        number=number,
        id=str(_field(path, row, "prompt_id", int)),
        prompt=_field(path, row, "prompt", str),
        texts=tuple(texts),
        groups=tuple(str(row[name]) for name in ("length", "category") if name in row),
    )


def oneig(language: str, prompts: Path | None) -> Suite:
    """OneIG's prompts for text, en or zh, from its CSV: id, prompt (or prompt_en, prompt_cn) and
    text_content. Raises ValueError where the file is not named, missing or another's."""
    file = "text_content.csv" if language == "en" else "text_content_zh.csv"
    fetch = FETCH_ONEIG.format(file=file)
    if prompts is None:
        raise ValueError(fetch)
    path = prompts / file if prompts.is_dir() else prompts
    rows = _parsed(path, lambda text: list(csv.DictReader(text.splitlines(keepends=True))), fetch)
    return _checked(
        Suite(
            name=f"oneig-{language}",
            items=tuple(_oneig_item(i, path, row) for i, row in enumerate(rows)),
            scorer=benchmark_scores.oneig(language),
            headline="wac",
            look=read_whole,
            perfect=perfect_page,
            repeats=4,
            note=_PAPER.format(engine="Qwen2.5-VL-7B"),
        )
    )


def _oneig_item(number: int, path: Path, row: Any) -> Item:
    told = next((n for n in ("prompt", "prompt_en", "prompt_cn") if row.get(n)), "prompt")
    name, content = _field(path, row, "id", str), _field(path, row, "text_content", str)
    if not _NAME.fullmatch(name):
        raise ValueError(f"{path} row {number + 1}: the id {name!r} is no file name")
    return Item(
        number=number,
        id=name,
        prompt=_field(path, row, told, str),
        texts=_strings(content),
        asked=(content,),
    )


def _strings(content: str) -> tuple[str, ...]:
    """The strings of a list in Python's notation, or the one string that it is."""
    try:
        found = ast.literal_eval(content)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return (content,)
    return tuple(map(str, found)) if isinstance(found, list) else (content,)


def one_character(per_level: int) -> Suite:
    """Single characters, `per_level` of each of the three levels spread evenly, 0 for all 8105."""
    chosen = []
    for level in (1, 2, 3):
        every = assets.characters(level)
        count = min(per_level, len(every)) if per_level else len(every)
        chosen += [(level, every[i * len(every) // count]) for i in range(count)]
    return Suite(
        name="one-character",
        items=tuple(_character_item(i, level, c) for i, (level, c) in enumerate(chosen)),
        scorer=benchmark_scores.one_character,
        headline="accuracy",
        look=read_ink,
        perfect=perfect_character,
        note="The prompts are ours: those of Qwen-Image's ChineseWord were never released.",
    )


def _character_item(number: int, level: int, character: str) -> Item:
    return Item(
        number=number,
        id=f"U{ord(character):05X}",
        prompt=f"白色背景的图片，中间写着一个很大的黑色的字“{character}”",
        texts=(character,),
        groups=(f"level {level}",),
    )


def _parsed(path: Path, parse: Callable[[str], list[Any]], fetch: str = "") -> list[Any]:
    hint = f": {fetch}" if fetch else ""
    try:
        if path.stat().st_size > LARGEST:
            raise ValueError(f"{path} is too large for a file of prompts{hint}")
        rows = parse(path.read_text("utf-8-sig"))
    except (OSError, UnicodeDecodeError) as e:
        raise ValueError(f"{path} cannot be read ({e}){hint}") from None
    except (json.JSONDecodeError, KeyError, TypeError, csv.Error, RecursionError) as e:
        raise ValueError(f"{path} is not such a file of prompts ({e!r}){hint}") from None
    if not isinstance(rows, list):
        raise ValueError(f"{path} is not such a file of prompts{hint}")
    return rows


def _field(path: Path, row: Any, name: str, kind: type) -> Any:
    value = row.get(name) if isinstance(row, dict) else None
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ValueError(f"{path}: a row has no {name} ({str(row)[:80]})")
    return value


def _checked(suite: Suite) -> Suite:
    """Raises ValueError for a suite that is empty, has an id twice, or asks for no text at all."""
    ids = [item.id for item in suite.items]
    twice = {name for name in ids if ids.count(name) > 1} if len(set(ids)) < len(ids) else set()
    if twice:
        raise ValueError(f"{suite.name}: the id {min(twice)} stands twice")
    if len(without_text(suite.items)) == len(ids):
        raise ValueError(f"{suite.name}: no prompt asks for any text")
    return suite
