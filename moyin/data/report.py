"""An HTML page about a prepared dataset: what was dropped and why, and what it holds."""

from __future__ import annotations

import base64
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader
from PIL import Image

from moyin.data.item import printable
from moyin.data.manifest import Decision, Manifest
from moyin.data.run.worker import thumbnail
from moyin.data.writer import EXAMPLES
from moyin.dataset.atomic_file import replacing
from moyin.dataset.column import SCALARS
from moyin.dataset.dataset import Dataset
from moyin.render import assets

TEMPLATES = Path(__file__).parent
STAGES = (
    "source",
    "decode",
    "resize",
    "blur",
    "ocr",
    "caption",
    "caption_filter",
    "score",
    "duplicates",
)
SAMPLES = 24  # kept images shown
BARS = 20  # of a histogram
CATEGORIES = 40  # of a text column; the rest is counted as "others"
UNIQUE = ("key", "pixel_hash", "phash", "ocr_text")  # text columns that differ in every row

Bars = list[tuple[str, int]]  # label and count


@dataclass(frozen=True)
class Example:
    """A thumbnail as base64, empty if there is none, and its caption."""

    image: str
    caption: str


@dataclass(frozen=True)
class Group:
    """Images that one stage dropped for one reason."""

    stage: str
    reason: str
    count: int
    examples: tuple[Example, ...]


@dataclass
class Counts:
    """Sums over the decisions."""

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
            if len(self.examples[reason]) < EXAMPLES:
                self.examples[reason].append(decision)


def write(dataset: Dataset) -> Path:
    """Write DATASET/report.html, which needs no other file, and return its path."""
    counts = Counts()
    for decision in Manifest(dataset).decisions():
        counts.add(decision)
    coverage, drafts = _coverage(dataset)
    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True)
    page = environment.get_template("report.html").render(
        title=printable(dataset.path.name),
        rows=len(dataset),
        seen=counts.seen or len(dataset),
        mebibytes=sum(path.stat().st_size for path in dataset.path.rglob("*.arrow")) / 2**20,
        columns=len(dataset.columns),
        stages=list(_stages(counts)),
        sources=_sources(counts),
        notes=counts.notes.most_common(),
        dropped=list(_dropped(counts)),
        charts=list(_charts(dataset)),
        coverage=coverage,
        drafts=drafts,
        kept=list(_kept(dataset)),
    )
    path = dataset.path / "report.html"
    with replacing(path) as file:
        file.write(page.encode())
    return path


def _stages(counts: Counts) -> Iterator[tuple[str, int, int, int, str]]:
    """For every stage: images in, dropped and out, and the reasons."""
    if not counts.seen:
        return
    remaining = counts.seen
    for stage in STAGES:
        reasons = {r: n for (at, r), n in sorted(counts.by_reason.items()) if at == stage}
        dropped = sum(reasons.values())
        text = ", ".join(f"{reason} {count}" for reason, count in reasons.items())
        yield stage, remaining, dropped, remaining - dropped, text
        remaining -= dropped


def _sources(counts: Counts) -> list[tuple[str, int, int]]:
    """Kept and dropped images of every source."""
    sources = sorted({source for source, _ in counts.by_source})
    return [(s, counts.by_source[s, True], counts.by_source[s, False]) for s in sources]


def _dropped(counts: Counts) -> Iterator[Group]:
    for (stage, reason), decisions in sorted(counts.examples.items()):
        examples = tuple(
            _example(d["thumbnail"] or b"", f"{d['source']}/{d['key']} {d['detail']}")
            for d in decisions
        )
        yield Group(stage, reason, counts.by_reason[stage, reason], examples)


def _charts(dataset: Dataset) -> Iterator[tuple[str, Bars]]:
    """A histogram of every numeric column, and the common values of every text column."""
    for name in dataset.columns:
        column = dataset.column(name)
        if column.kind in SCALARS and name not in UNIQUE:
            values = dataset.values(name)
            yield name, _categories(values) if column.kind == "text" else histogram(values)


def histogram(values: np.ndarray[Any, Any]) -> Bars:
    """Counts in at most 20 equal bins of the range; one bin per value if there are few values."""
    distinct = np.unique(values)
    if len(distinct) <= BARS:
        return [(f"{value:g}", int((values == value).sum())) for value in distinct]
    counts, edges = np.histogram(values, BARS)
    return [(f"{edge:.4g}", int(count)) for edge, count in zip(edges, counts, strict=False)]


def _categories(values: Iterable[Any]) -> Bars:
    common = Counter(str(value) or "(none)" for value in values).most_common()
    others = sum(count for _, count in common[CATEGORIES:])
    return [*common[:CATEGORIES], *([("others", others)] if others else [])]


def _coverage(dataset: Dataset) -> tuple[list[tuple[str, int, int, str, int]], int]:
    """Per level of Chinese characters: its size, how many occur in the images, their share, and
    the median count. And how many drafts were redrawn for lack of a glyph."""
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
        used = sum(count > 0 for count in counts)
        share = f"{used / len(level):.1%}"
        rows.append((f"level {number}", len(level), used, share, int(np.median(counts))))
    return rows, drafts


def _kept(dataset: Dataset) -> Iterator[Example]:
    """Images spread over the dataset, each with its first and last caption."""
    for index in np.unique(np.linspace(0, len(dataset) - 1, SAMPLES).astype(int)).tolist():
        sample = dataset.sample(index)
        captions = sample.captions[:: max(1, len(sample.captions) - 1)]
        yield _example(thumbnail(Image.fromarray(sample.image)), " | ".join(captions))


def _example(image: bytes, caption: str) -> Example:
    return Example(base64.b64encode(image).decode(), printable(caption, 160))
