"""A page about a dataset: what came in, what was dropped where and why, and what is in it now."""

from __future__ import annotations

import base64
import html
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from moyin.data.item import printable
from moyin.data.manifest import Decision, Journal
from moyin.data.run.worker import thumbnail
from moyin.dataset.atomic_file import replacing
from moyin.dataset.column import SCALARS
from moyin.dataset.dataset import Dataset
from moyin.render import assets

SAMPLES = 24  # kept images shown
BARS = 20  # of a histogram
ORDINARY = 40  # values of a text column beyond which it is no category
HIDDEN = ("key", "pixels", "look", "read")  # columns that say something else of every image

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72em; margin: 2em auto; padding: 0 1em;
       color: #222; background: #fff }
h1, h2 { font-weight: 600 } h2 { margin-top: 2em } h3 { margin: 1.2em 0 .3em; font-size: 1em }
table { border-collapse: collapse } td, th { padding: .15em .8em .15em 0; text-align: right }
td:first-child, th:first-child, .said td:last-child, .said th:last-child { text-align: left }
th { color: #777; font-weight: 400 }
.cells { display: flex; flex-wrap: wrap; gap: .8em }
figure { margin: 0; width: 136px; font-size: 12px; line-height: 1.3; overflow-wrap: anywhere }
figure img { display: block; max-width: 128px; max-height: 128px; border: 1px solid #ddd }
.bar { display: inline-block; height: .8em; background: #5b8 } .few { color: #777 }
.charts { display: flex; flex-wrap: wrap; gap: 1.5em 3em }
"""


@dataclass
class Counts:
    """What the decisions add up to."""

    seen: int = 0
    by_source: Counter[tuple[str, bool]] = field(default_factory=Counter)
    by_reason: Counter[tuple[str, str]] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    examples: dict[tuple[str, str], list[Decision]] = field(
        default_factory=lambda: defaultdict(list)
    )

    def add(self, decision: Decision) -> None:
        self.seen += 1
        self.by_source[decision["source"], decision["kept"]] += 1
        self.notes.update(decision["notes"])
        if not decision["kept"]:
            reason = decision["stage"], decision["reason"]
            self.by_reason[reason] += 1
            if len(self.examples[reason]) < 12:
                self.examples[reason].append(decision)


def write(dataset: Dataset) -> Path:
    """Write DATASET/report.html, which holds all it shows, and return its path."""
    counts = Counts()
    for decision in Journal(dataset.path / "decisions").decisions():
        counts.add(decision)
    parts = [_heading(dataset, counts), *_chain(counts), *_dropped(counts), *_charts(dataset)]
    body = "\n".join([*parts, *_coverage(dataset), *_kept(dataset)])
    title = html.escape(printable(dataset.path.name))
    page = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
    path = dataset.path / "report.html"
    with replacing(path) as file:
        file.write(f"{page}<style>{STYLE}</style><body>{body}</body></html>\n".encode())
    return path


def _heading(dataset: Dataset, counts: Counts) -> str:
    size = sum(path.stat().st_size for path in dataset.path.rglob("*.arrow")) / 2**20
    seen = counts.seen or len(dataset)
    return (
        f"<h1>{html.escape(printable(dataset.path.name))}</h1>"
        f"<p>{len(dataset)} images of {seen} that came in, {size:.0f} MiB in "
        f"{len(dataset.columns)} columns.</p>"
    )


def _chain(counts: Counts) -> Iterator[str]:
    """What went into every filter and what came out, and where it all is from."""
    if not counts.seen:
        return
    left, rows = counts.seen, []
    stages = ("source", "decode", "fit", "clarity", "reading", "wording", "score", "duplicates")
    for stage in stages:
        reasons = {r: n for (at, r), n in sorted(counts.by_reason.items()) if at == stage}
        gone = sum(reasons.values())
        told = ", ".join(f"{reason} {count}" for reason, count in reasons.items())
        rows.append((stage, left, gone, left - gone, told))
        left -= gone
    yield "<h2>Filters</h2>" + _table(("stage", "in", "dropped", "out", "of which"), rows, "said")
    sources = sorted({source for source, _ in counts.by_source})
    by_source = [(s, counts.by_source[s, True], counts.by_source[s, False]) for s in sources]
    yield "<h2>Sources</h2>" + _table(("source", "kept", "dropped"), by_source)
    if counts.notes:
        yield "<h2>Mended</h2>" + _table(("what", "times"), counts.notes.most_common())


def _dropped(counts: Counts) -> Iterator[str]:
    if counts.examples:
        yield "<h2>Dropped</h2>"
    for (stage, reason), some in sorted(counts.examples.items()):
        count = counts.by_reason[stage, reason]
        yield f"<h3>{html.escape(f'{stage}: {reason}')} ({count})</h3><div class=cells>"
        for one in some:
            name = f"{one['source']}/{one['key']}"
            yield _figure(one["thumbnail"] or b"", f"{name} {one['detail']}")
        yield "</div>"


def _charts(dataset: Dataset) -> Iterator[str]:
    """A histogram of every column of numbers, a table of every one of few texts."""
    yield "<h2>What the columns hold</h2><div class=charts>"
    for name in dataset.columns:
        column = dataset.column(name)
        if column.kind not in SCALARS or name in HIDDEN:
            continue
        values = dataset.values(name)
        rows = _categories(values) if column.kind == "text" else histogram(values)
        yield f"<div><h3>{html.escape(name)}</h3>{_bars(rows)}</div>"
    yield "</div>"


def histogram(values: np.ndarray[Any, Any]) -> list[tuple[str, int]]:
    """Counts in at most 20 equal parts of the range; a column of few different numbers has one
    bar for each."""
    different = np.unique(values)
    if len(different) <= BARS:
        return [(f"{value:g}", int((values == value).sum())) for value in different]
    counts, edges = np.histogram(values, BARS)
    return [(f"{edge:.4g}", int(count)) for edge, count in zip(edges, counts, strict=False)]


def _categories(values: Iterable[Any]) -> list[tuple[str, int]]:
    common = Counter(str(value) or "(none)" for value in values).most_common(ORDINARY + 1)
    rest = sum(count for _, count in common[ORDINARY:])
    return [*common[:ORDINARY], *([("others", rest)] if rest else [])]


def _coverage(dataset: Dataset) -> Iterator[str]:
    """Which characters of each level the images' lines hold, and drafts that lacked a glyph."""
    seen: Counter[str] = Counter()
    drafts = 0
    for index in range(len(dataset)):
        (row,) = dataset.read(["meta"], [index])
        seen.update("".join(line["text"] for line in row["meta"]["lines"]))
        drafts += row["meta"].get("dropped", 0)
    rows = []
    for number in (1, 2, 3):
        level = assets.characters(number)
        counts = [seen[c] for c in level]
        there = sum(count > 0 for count in counts)
        share = f"{there / len(level):.1%}"
        rows.append((f"level {number}", len(level), there, share, int(np.median(counts))))
    titles = ("", "characters", "in the images", "share", "median times")
    yield "<h2>Characters</h2>" + _table(titles, rows)
    yield f"<p>{drafts} drafts of these images were dropped for a glyph their font lacks.</p>"


def _kept(dataset: Dataset) -> Iterator[str]:
    """Images from all over the dataset, each with its captions."""
    yield "<h2>Kept</h2><div class=cells>"
    for index in np.unique(np.linspace(0, len(dataset) - 1, SAMPLES).astype(int)).tolist():
        sample = dataset.sample(index)
        said = " | ".join(sample.captions[:: max(1, len(sample.captions) - 1)])
        yield _figure(thumbnail(Image.fromarray(sample.image)), said)
    yield "</div>"


def _table(titles: Sequence[str], rows: Iterable[Sequence[object]], kind: str = "") -> str:
    head = "".join(f"<th>{html.escape(title)}</th>" for title in titles)
    cells = ("".join(f"<td>{html.escape(str(cell))}</td>" for cell in row) for row in rows)
    body = "".join(f"<tr>{row}</tr>" for row in cells)
    return f'<table class="{kind}"><tr>{head}</tr>{body}</table>'


def _bars(rows: Sequence[tuple[str, int]]) -> str:
    most = max((count for _, count in rows), default=1)
    return (
        "<table>"
        + "".join(
            f"<tr><td>{html.escape(label)}</td><td>{count}</td>"
            f'<td style="text-align:left"><span class=bar style="width:{count / most * 8:.2f}em">'
            "</span></td></tr>"
            for label, count in rows
        )
        + "</table>"
    )


def _figure(image: bytes, said: str) -> str:
    shown = f'<img alt="" src="data:image/jpeg;base64,{base64.b64encode(image).decode()}">'
    return f"<figure>{shown if image else ''}{html.escape(printable(said, 160))}</figure>"
