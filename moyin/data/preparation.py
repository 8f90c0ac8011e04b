"""Preparing a dataset from images that were found and images that are rendered.

Workers take shares of the sources through the stages; this process decides, in the order of the
sources, which are copies of earlier ones, and writes the dataset, a shard at a time, and then what
was decided. All of it depends on nothing but sources and configuration, so a run that was stopped
anywhere writes the same rows when it goes on.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import itertools
import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from PIL import Image
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from moyin.data import readers
from moyin.data.filters import StageConfig
from moyin.data.filters.blur import Clarity
from moyin.data.filters.caption import Caption
from moyin.data.filters.caption_filter import Wording
from moyin.data.filters.decode import Decode
from moyin.data.filters.duplicates import Duplicates
from moyin.data.filters.fingerprint import Fingerprint
from moyin.data.filters.ocr_filter import Reading
from moyin.data.filters.resize import Fit
from moyin.data.filters.score import Score
from moyin.data.item import Item
from moyin.data.manifest import Decision, Journal, Position
from moyin.data.readers import Share, rendered
from moyin.data.run import local
from moyin.data.run.ray import ordered as ordered_on_ray
from moyin.data.run.worker import Outcome, Work, thumbnail
from moyin.data.show import Speed
from moyin.dataset import dataset as datasets
from moyin.dataset.column import Column
from moyin.dataset.dataset import Dataset
from moyin.dataset.tokens import Tokenize
from moyin.render.renderer import VERSION, Renderer

STAGES = 1  # goes up whenever a stage decides or measures otherwise
DECISIONS = 4096  # a shard ends after so many at the latest, be none of them kept
EXAMPLES = 12  # dropped images with a thumbnail, for each reason
IDENTITY = ("source", "key", "pixels", "look")  # what is to be known of an image that was kept
COLUMNS = {
    "source": "text",
    "key": "text",
    "source_height": "int64",
    "source_width": "int64",
    "bucket": "text",
    "contrast": "float64",
    "sharpness": "float64",
    "pixels": "text",
    "look": "text",
    "read": "text",
    "text_precision": "float64",
    "text_recall": "float64",
    "language": "text",
    "caption_length": "int64",
    "characters": "int64",
    "level": "int64",
    "quality": "float64",
}


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """Everything that decides what a dataset holds; `workers` (one a core) does not.

    inputs: folders and files of images. count: how many are rendered, by `renderer` from `seed`,
    after those found. The rest are the stages, in their order, and columns that networks add to
    the finished dataset.
    """

    inputs: tuple[Path, ...] = ()
    count: int = 0
    seed: int = 0
    workers: int | None = None
    renderer: Renderer.Config = field(default_factory=Renderer.Config)
    decode: Decode.Config = field(default_factory=Decode.Config)
    fit: Fit.Config = field(default_factory=Fit.Config)
    clarity: Clarity.Config = field(default_factory=Clarity.Config)
    reading: Reading.Config = field(default_factory=Reading.Config)
    caption: Caption.Config = field(default_factory=Caption.Config)
    wording: Wording.Config = field(default_factory=Wording.Config)
    score: Score.Config = field(default_factory=Score.Config)
    duplicates: Duplicates.Config = field(default_factory=Duplicates.Config)
    tokenize: Tokenize = field(default_factory=Tokenize)

    def __post_init__(self) -> None:
        if self.count < 0:
            raise ValueError(f"count is {self.count}: so many images cannot be rendered")

    @property
    def stages(self) -> tuple[StageConfig, ...]:
        """The stages that workers run."""
        measured = (self.decode, self.fit, self.clarity, Fingerprint.Config(), self.reading)
        return (*measured, self.caption, self.wording, self.score)

    def shares(self) -> Iterator[Share]:
        """All shares of all sources, in order. ValueError where there is no source."""
        if not self.inputs and not self.count:
            raise ValueError("nothing to prepare: name inputs=FOLDER, or count=N to render some")
        for path in self.inputs:
            yield from readers.shares(path)
        yield from rendered.shares(self.renderer, self.seed, self.count)

    def to_json(self) -> dict[str, Any]:
        """What is noted in the dataset; the columns of `tokenize` say themselves who made them."""
        made = asdict(self) | {"inputs": [path.resolve().name for path in self.inputs]}
        return {name: made[name] for name in made if name not in ("workers", "tokenize")}

    def digest(self) -> str:
        """SHA-256 of all that decides what the dataset holds, but the inputs' own content."""
        made = {"versions": [VERSION, STAGES], "preparation": self.to_json()}
        return hashlib.sha256(json.dumps(made, sort_keys=True).encode()).hexdigest()


def prepare(config: Preparation, out: Path | str, ray: str | None = None) -> Dataset:
    """Prepare the dataset `out`, or go on where a run was stopped, and return it.

    ray: the address of a cluster that takes the images through the stages (`data.cluster`). A
    dataset that is finished stays as it is. ValueError if `out` is another configuration's, if
    another run writes to it, or if sources changed since it was begun; OSError, with nothing lost,
    where the disk is full.
    """
    digest = config.digest()
    dataset = Dataset.create(out, config.to_json(), config.seed, 0, digest)
    with alone(dataset.path):
        for name, kind in COLUMNS.items():
            dataset.begin_column(name, Column(kind=kind, digest=digest))
        journal = Journal(dataset.path / "decisions")
        if not journal.position.finished:
            _go_on(config, dataset, journal, ray)
        return Dataset.create(out, config.to_json(), config.seed, len(dataset), digest)


def _go_on(config: Preparation, dataset: Dataset, journal: Journal, ray: str | None) -> None:
    shares = _remaining(config.shares(), journal.position)
    work, workers = Work(config.stages), config.workers or os.cpu_count() or 1
    with closing(config.duplicates.build()) as duplicates, _progress() as told:
        writer = _Writer(dataset, journal, duplicates, told)
        on_ray = ordered_on_ray(work, shares, ray) if ray else None
        with closing(on_ray or local.ordered(work, shares, workers)) as results:
            for share, outcomes in results:
                writer.add(share, outcomes)
        writer.finish()


def _remaining(shares: Iterator[Share], position: Position) -> Iterator[Share]:
    """The shares that are left. ValueError if those before are not what they were."""
    seen = ""
    for share in itertools.islice(shares, position.shares):
        seen = _chained(seen, share)
    if seen != position.sources:
        raise ValueError("the sources changed since this dataset was begun: prepare another one")
    return shares


def _chained(before: str, share: Share) -> str:
    return hashlib.sha256(f"{before}{share!r}".encode("utf-8", "surrogatepass")).hexdigest()


class _Writer:
    """Decides on copies and writes shards: at 256 rows, or at 4096 decisions."""

    def __init__(
        self, dataset: Dataset, journal: Journal, duplicates: Duplicates, told: _Told
    ) -> None:
        self.dataset, self.journal, self.duplicates, self.told = dataset, journal, duplicates, told
        self.position = journal.position
        self.rows: list[Outcome] = []
        self.decisions: list[Decision] = []
        self.examples: Counter[tuple[str, str]] = Counter()
        for decision in journal.decisions(["kept", "stage", "reason", *IDENTITY]):
            self._remember(decision)

    def add(self, share: Share, outcomes: Sequence[Outcome]) -> None:
        """The outcomes of the next share, of which the first may have been decided already."""
        for outcome in outcomes[self.position.items :]:
            self._decide(outcome)
            self.position = replace(self.position, items=self.position.items + 1)
            if len(self.rows) == datasets.SHARD or len(self.decisions) == DECISIONS:
                self._flush()
        seen = _chained(self.position.sources, share)
        shares = self.position.shares + 1
        self.position = replace(self.position, shares=shares, items=0, sources=seen)

    def finish(self) -> None:
        """Write what is left. ValueError where no image at all was kept."""
        self.position = replace(self.position, finished=bool(self.rows or self.position.shards))
        self._flush()
        if not self.position.finished:
            raise ValueError(
                f"no image was kept of {self.told.dropped}: {self.journal.path} has the reasons"
            )

    def _decide(self, outcome: Outcome) -> None:
        item = outcome.item
        item = self.duplicates(item) if item.kept else item
        if item.kept:
            self.rows.append(Outcome(item, outcome.image))
        decision = _decision(item)
        reason = (item.stage, item.reason)
        self.examples[reason] += 1
        if not item.kept and self.examples[reason] <= EXAMPLES:
            decision["thumbnail"] = _small(outcome.image)
        self.decisions.append(decision)
        self.told(item.kept)

    def _flush(self) -> None:
        number = self.position.shards
        if self.rows:
            items = [row.item for row in self.rows]
            self.dataset.write_column("image", number, [row.image for row in self.rows])
            self.dataset.write_column("meta", number, [item.sample.to_json() for item in items])
            for name in COLUMNS:
                self.dataset.write_column(name, number, [_value(item, name) for item in items])
            self.position = replace(self.position, shards=number + 1)
        if self.decisions or self.position.finished:
            self.journal.append(self.decisions, self.position)
        self.rows, self.decisions = [], []

    def _remember(self, decision: Decision) -> None:
        """Take in a decision of an earlier run."""
        self.told(decision["kept"])
        self.examples[decision["stage"], decision["reason"]] += 1
        if decision["kept"]:
            name = f"{decision['source']}/{decision['key']}"
            self.duplicates.remember(decision["pixels"], decision["look"], name)


def _decision(item: Item) -> Decision:
    """What the journal keeps of an item; a rendered one is no near copy of any, so without look."""
    return {
        "source": item.source,
        "key": item.key,
        "kept": item.kept,
        "stage": item.stage,
        "reason": item.reason,
        "detail": item.detail,
        "notes": list(item.notes),
        "pixels": str(item.values.get("pixels", "")),
        "look": "" if item.rendered else str(item.values.get("look", "")),
    }


def _value(item: Item, name: str) -> Any:
    return {"source": item.source, "key": item.key}.get(name) or item.values[name]


def _small(image: bytes) -> bytes:
    """A thumbnail of an outcome's image, which a copy still has in full."""
    return thumbnail(Image.open(io.BytesIO(image))) if image else b""


class _Told:
    """Counts decisions, on the screen."""

    def __init__(self, progress: Progress) -> None:
        self.kept = self.dropped = 0
        self._progress, self._task = progress, progress.add_task("prepare", total=None)

    def __call__(self, kept: bool) -> None:
        self.kept, self.dropped = self.kept + kept, self.dropped + (not kept)
        told = f"{self.kept} kept, {self.dropped} dropped"
        self._progress.update(self._task, advance=1, description=told)


@contextmanager
def _progress() -> Iterator[_Told]:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), Speed(), TimeElapsedColumn())
    with Progress(*columns) as progress:
        yield _Told(progress)


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Hold the dataset for this process, and take away what a killed one left half-written."""
    with (path / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"another run is writing to {path}: wait for it or stop it") from None
        for partial in path.rglob("*.partial"):
            partial.unlink(missing_ok=True)
        yield
