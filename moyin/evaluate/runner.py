"""One evaluation: images of a suite's prompts, read, scored, and reported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from moyin.evaluate import diagnostics, edits, image_files, nano, reference_render, report
from moyin.evaluate.endpoint import Endpoint
from moyin.evaluate.image_files import Unreadable
from moyin.evaluate.image_sources import Drawn, Given, Sheets, Source, Wanted, name
from moyin.evaluate.ocr_cache import Reader
from moyin.evaluate.options import Options
from moyin.evaluate.task import Found, Item, Suite, without_text
from moyin.evaluate.tasks import benchmarks, posters
from moyin.inference.observer import Progress, no_progress
from moyin.ocr import benchmark_scores, engine, scores

# What each suite is scored by, beside the strict scores.
SCORERS = {
    "cvtg": benchmark_scores.cvtg,
    "longtext-en": benchmark_scores.longtext("en"),
    "longtext-zh": benchmark_scores.longtext("zh"),
    "oneig-en": benchmark_scores.oneig("en"),
    "oneig-zh": benchmark_scores.oneig("zh"),
    "one-character": benchmark_scores.one_character,
    "posters": scores.characters,
    "gates": scores.characters,
    "nano-50": scores.characters,
    "wording-50": scores.characters,
    "lines-50": scores.characters,
    "brief-50": scores.characters,
    "edits-50": scores.characters,
}
SUITES = tuple(SCORERS)


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """What the command line asks for. Of checkpoint, images and endpoint one may be given; the
    default checkpoint is evaluated where none is. limit: prompts; seeds: images a prompt."""

    suite: str
    out: Path
    checkpoint: str | None = None
    images: Path | None = None
    endpoint: str | None = None
    model: str | None = None
    limit: int | None = None
    seeds: int | None = None
    options: Options = field(default_factory=Options)

    def __post_init__(self) -> None:
        if self.suite not in SUITES:
            raise ValueError(f"no suite {self.suite} (there are: {', '.join(SUITES)})")
        given = [x for x in (self.checkpoint, self.images, self.endpoint) if x is not None]
        if len(given) > 1:
            raise ValueError("give one of --checkpoint, --images and --endpoint")
        if (self.endpoint is None) != (self.model is None):
            raise ValueError("--endpoint URL and --model NAME go together")
        if self.options.tiles is not None and self.images is None:
            raise ValueError("tiles= says how the files of --images are to be cut: give both")
        if self.suite == "gates" and (self.images is not None or self.endpoint is not None):
            raise ValueError("the gates stand inside a checkpoint: give --checkpoint")
        if self.suite == "edits-50" and self.endpoint is not None:
            raise ValueError(
                "edits-50 is of images that are edited, and --endpoint sends words alone: give "
                "--checkpoint, or --images of what was made of those in OUT/references"
            )
        for told, value in (("--limit", self.limit), ("--seeds", self.seeds)):
            if value is not None and value < 1:
                raise ValueError(f"{told} must be at least 1, not {value}")


def run(request: EvaluationConfig, progress: Progress = no_progress) -> Path:
    """Write report.json, report.md and report.html under `request.out`, and print the table.

    Starts again where it stopped: images and readings that are there are not made again, and
    the report is the same to the byte. Returns the path of report.json. Raises ValueError for bad
    input and where no image at all could be read.
    """
    options = request.options
    reader_engine = engine.open_engine(options.engine, options.engine_url, options.engine_model)
    if request.suite == "gates":
        return diagnostics.run(
            request.checkpoint, options, request.limit, reader_engine, request.out, progress
        )
    suite = build(request.suite, options)
    items = suite.some(request.limit)
    references = _references(suite, items, request.out)
    source = _source(request, len(suite.items), references)
    repeats = request.seeds or suite.repeats
    if isinstance(source, Given | Sheets) and request.seeds is None:
        repeats = source.repeats(items)
    wanted = [(item, r) for item in items for r in range(repeats)]
    reader = Reader(suite, reader_engine, request.out / "readings.jsonl")
    source.make(wanted, progress)
    judged, faults = _judge(reader, source, wanted, request.out, progress)
    if not judged:
        raise ValueError(f"no image could be read: {_first(faults)}")
    best = _ceiling(reader, items, progress)
    facts = {"n": len(judged), "prompts": len(items), "seeds": repeats, "source": source.facts()}
    unwritten = reference_render.missing([text for item in items for text in item.texts])
    facts |= {"without_text": without_text(items), "unwritten": unwritten, **faults}
    content = report.content(suite, reader_engine.name, facts, judged, best, options.resamples)
    report.write(request.out, content)
    return request.out / "report.json"


def build(suite: str, options: Options) -> Suite:
    """The suite of a name; raises ValueError where its prompts are not to be had."""
    kind, _, language = suite.rpartition("-")
    if suite == "cvtg":
        return benchmarks.cvtg(options.prompts)
    if kind == "longtext":
        return benchmarks.longtext(language, options.prompts)
    if kind == "oneig":
        return benchmarks.oneig(language, options.prompts)
    if suite == "one-character":
        return benchmarks.one_character(options.per_level)
    if suite == "edits-50":
        return edits.suite()
    return posters.suite() if suite == "posters" else nano.suite(suite)


def _references(suite: Suite, items: Sequence[Item], out: Path) -> Path | None:
    """The folder of the images that the items edit, each `<id>.png`; None where none do."""
    if suite.reference is None:
        return None
    folder = out / "references"
    folder.mkdir(parents=True, exist_ok=True)
    for item in items:
        Image.fromarray(suite.reference(item)).save(folder / f"{item.id}.png")
    return folder


def _source(request: EvaluationConfig, count: int, references: Path | None) -> Source:
    tiles = request.options.tiles
    if request.images is not None and tiles is not None:
        return Sheets(request.images, tiles, request.out / "images")
    if request.images is not None:
        return Given(request.images)
    if request.endpoint is not None and request.model is not None:
        folder = request.out / "images"
        return Endpoint(request.endpoint, request.model, request.options, folder)
    folder = request.out / "images"
    return Drawn(request.checkpoint, request.options, count, folder, references)


def _judge(
    reader: Reader, source: Source, wanted: Sequence[Wanted], out: Path, progress: Progress
) -> tuple[list[report.Judged], dict[str, Any]]:
    """What could be read; and the names of the images that are missing and of those that cannot
    be read, with the reason."""
    judged: list[report.Judged] = []
    missing: list[str] = []
    unreadable: dict[str, str] = {}
    for number, (item, repeat) in enumerate(wanted, 1):
        path = source.path(item, repeat)
        if path is None:
            missing.append(name(item, repeat))
        else:
            try:
                image = image_files.load(path)
            except Unreadable as e:
                unreadable[name(item, repeat)] = str(e)
            else:
                found = reader(item, image)
                image_files.save_thumbnail(image, out / report.thumbnail(item, repeat))
                judged.append(report.Judged(item=item, repeat=repeat, found=found))
        progress("read", number, len(wanted))
    return judged, {"missing": missing, "unreadable": unreadable}


def _ceiling(reader: Reader, items: Sequence[Item], progress: Progress) -> list[report.Judged]:
    """The same engine on perfect renders of the same strings."""
    found: list[report.Judged] = []
    for number, item in enumerate(items, 1):
        seen: Found = reader(item, reader.suite.perfect(item))
        found.append(report.Judged(item=item, repeat=0, found=seen))
        progress("ceiling", number, len(items))
    return found


def _first(faults: dict[str, Any]) -> str:
    missing, unreadable = faults["missing"], faults["unreadable"]
    told = [f"{len(missing)} missing, such as {missing[0]}"] if missing else []
    told += [f"{unread} is {why}" for unread, why in list(unreadable.items())[:1]]
    return "; ".join(told)
