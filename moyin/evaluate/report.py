"""What an evaluation leaves: report.json with all numbers, report.md with the table, report.html
with the images, what was read and what differs, the worst first. No times stand in them, so that
two runs of the same can be compared byte by byte."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from moyin.evaluate import bootstrap
from moyin.evaluate.task import Found, Item, Suite
from moyin.ocr.scores import Sums, added

FOLDER = Path(__file__).parent / "assets"
ALL = "all"
# Scores of which less is better, and those that are counts and not shares.
LOWER = frozenset({"ed", "spurious"})
COUNTS = frozenset({"ed"})


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One image: whose it is and what was found in it."""

    item: Item
    repeat: int
    found: Found


def thumbnail(item: Item, repeat: int) -> str:
    """Path of an image's thumbnail, from the report."""
    return f"thumbnails/{item.id}_{repeat}.jpg"


def content(
    suite: Suite,
    engine: str,
    facts: Mapping[str, Any],
    judged: Sequence[Judged],
    best: Sequence[Judged],
    resamples: int,
) -> dict[str, Any]:
    """Everything that the three files say, in JSON's types. best: the perfect renders."""
    names = {group for j in judged for group in j.item.groups}
    groups = {
        name: _group(
            suite,
            [j for j in judged if name in j.item.groups],
            [b for b in best if name in b.item.groups],
            resamples,
        )
        for name in sorted(names)
    }
    whole = _group(suite, judged, best, resamples)
    return {
        "suite": suite.name,
        "engine": engine,
        **facts,
        "headline": suite.headline,
        "note": suite.note,
        **{key: whole[key] for key in ("scores", "ceilings", "intervals")},
        "groups": groups,
        "rows": [_row(suite, j) for j in judged],
    }


def _group(
    suite: Suite, judged: Sequence[Judged], best: Sequence[Judged], resamples: int
) -> dict[str, Any]:
    sums = by_prompt((j.item.id, suite.count(j.item, j.found)) for j in judged)
    ceiling = [suite.count(b.item, b.found) for b in best]
    found = bootstrap.intervals(list(sums.values()), suite.total, resamples)
    return {
        "n": len(judged),
        "scores": _rounded(suite.total(added(list(sums.values())))),
        "ceilings": _rounded(suite.total(added(ceiling))),
        "intervals": {key: [round(low, 6), round(high, 6)] for key, (low, high) in found.items()},
    }


def by_prompt(counts: Iterable[tuple[str, Sums]]) -> dict[str, Sums]:
    """The sums of all images of each prompt."""
    found: dict[str, Sums] = {}
    for name, sums in counts:
        found[name] = added([found.get(name, {}), sums])
    return found


def _row(suite: Suite, judged: Judged) -> dict[str, Any]:
    item, found = judged.item, judged.found
    sums = suite.count(item, found)
    return {
        "id": item.id,
        "repeat": judged.repeat,
        "prompt": item.prompt,
        "asked": list(item.texts),
        "read": list(found.lines),
        "wrong": {
            key: found.seen.get(key, "no") for key, share in found.right.items() if share < 1
        },
        "score": round(suite.total(sums)[suite.headline], 6),
        "thumbnail": thumbnail(item, judged.repeat),
        "sums": {key: round(value, 9) for key, value in sums.items()},
    }


def _rounded(scores: Mapping[str, float]) -> dict[str, float]:
    return {key: round(value, 6) for key, value in scores.items()}


def write(out: Path, content: Mapping[str, Any]) -> None:
    """The three files, each whole or not at all, and the table on stdout."""
    whole = json.dumps(content, ensure_ascii=False, indent=1) + "\n"
    replace(out / "report.json", whole)
    replace(out / "report.md", markdown(content))
    replace(out / "report.html", html(content))
    show(content)


def replace(path: Path, text: str) -> None:
    """Write a file at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text(text, "utf-8")
    part.replace(path)


def table(content: Mapping[str, Any]) -> list[tuple[str, str, list[str]]]:
    """Rows (group, number of images, [score, value, interval, ceiling])."""
    groups = {ALL: content, **content["groups"]}
    rows = []
    for name, group in groups.items():
        for score, value in group["scores"].items():
            low, high = group["intervals"][score]
            cells = [
                label(score),
                figure(score, value),
                f"{figure(score, low)} to {figure(score, high)}",
                figure(score, group["ceilings"].get(score)),
            ]
            rows.append((name, str(group["n"]), cells))
    return rows


def label(score: str) -> str:
    """A score's name with the way that is better, where that is down."""
    return f"{score} ↓" if score in LOWER else score


def figure(score: str, value: float | None) -> str:
    """A share in percent, a count as it is."""
    if value is None:
        return "–"
    return f"{value:.1f}" if score in COUNTS else f"{100 * value:.1f} %"


def remarks(content: Mapping[str, Any]) -> list[str]:
    """What a reader must know beside the table."""
    told = [
        f"Read by {content['engine']}. Ceiling: the same engine on perfect renders of the same "
        "strings. Intervals: 95 %, bootstrap over prompts."
    ]
    told += [content["note"]] if content["note"] else []
    told += [
        f"{what}: {_some(content[key], noun)}"
        for key, noun, what in (
            ("missing", "image", "Missing, in no score"),
            ("unreadable", "image", "Unreadable, in no score"),
            ("without_text", "prompt", "No text was asked for, so that none is right"),
        )
        if content[key]
    ]
    if content["unwritten"]:
        lacking = " ".join(content["unwritten"])
        told.append(f"The perfect renders lack {lacking}, for which there was no font.")
    refused = content["source"].get("refused", {})
    for name, why in list(refused.items())[:3]:
        told.append(f"{name} did not come: {why}")
    if "cost" in content["source"]:
        cost = content["source"]["cost"]
        told.append("Cost: " + ", ".join(f"{key} {value}" for key, value in cost.items()) + ".")
    return told


def _some(names: Iterable[str], what: str) -> str:
    """How many there are, with the first five by name."""
    every = list(names)
    return f"{_counted(len(every), what)}, {', '.join(every[:5])}{' …' if len(every) > 5 else ''}"


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def title(content: Mapping[str, Any]) -> str:
    images, prompts = _counted(content["n"], "image"), _counted(content["prompts"], "prompt")
    return f"{content['suite']}: {images} of {prompts}"


def markdown(content: Mapping[str, Any]) -> str:
    """The table and the remarks."""
    lines = [f"# {title(content)}", "", *(f"- {_cell(r)}" for r in remarks(content)), ""]
    lines += ["| group | n | score | value | 95 % interval | ceiling |"]
    lines += ["|---|---:|---|---:|---:|---:|"]
    for name, count, cells in table(content):
        lines.append("| " + " | ".join(map(_cell, (name, count, *cells))) + " |")
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def show(content: Mapping[str, Any]) -> None:
    """The scores of all images on stdout, with the remarks."""
    shown = Table(title=title(content), box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("score", "value", "95 % interval", "ceiling"):
        shown.add_column(name, justify="left" if name == "score" else "right", no_wrap=True)
    for group, _, cells in table(content):
        if group == ALL:
            shown.add_row(*cells)
    console = Console()
    console.print(shown)
    for remark in remarks(content):
        console.print(remark, markup=False)


def html(content: Mapping[str, Any]) -> str:
    """One page, the worst images first; everything that comes from outside is escaped."""
    environment = Environment(loader=FileSystemLoader(FOLDER), autoescape=True)
    rows = sorted(content["rows"], key=lambda row: (row["score"], row["id"], row["repeat"]))
    cards = [
        {**row, "marks": marks("\n".join(row["asked"]), "\n".join(row["read"]))} for row in rows
    ]
    lines = table(content)
    return environment.get_template("report.html").render(
        title=title(content),
        remarks=remarks(content),
        whole=[row for row in lines if row[0] == ALL],
        groups=[row for row in lines if row[0] != ALL],
        cards=cards,
        headline=content["headline"],
        shown=lambda value: figure(content["headline"], value),
    )


def marks(asked: str, read: str) -> list[tuple[str, str]]:
    """What was read in pieces: ("same" | "missing" | "added", text); a case that differs is no
    difference."""
    matcher = difflib.SequenceMatcher(None, asked.lower(), read.lower(), autojunk=False)
    if len(asked) != len(asked.lower()) or len(read) != len(read.lower()):
        matcher.set_seqs(asked, read)
    found: list[tuple[str, str]] = []
    for kind, a, b, c, d in matcher.get_opcodes():
        if kind == "equal":
            found.append(("same", read[c:d]))
        else:
            found += [("missing", asked[a:b])] if b > a else []
            found += [("added", read[c:d])] if d > c else []
    return found
