"""Prepare a dataset from the user's images and from rendered ones.

Workers take partitions of the sources through the stages. This process then finds duplicates, in
the order of the sources, and writes the dataset shard by shard, each followed by its decisions.
The result depends on nothing but sources and configuration, so an interrupted run writes the same
rows when it resumes.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from moyin.data import readers
from moyin.data.filters import StageConfig
from moyin.data.filters.blur import BlurFilter
from moyin.data.filters.caption import Caption
from moyin.data.filters.caption_filter import CaptionFilter
from moyin.data.filters.decode import Decode
from moyin.data.filters.duplicates import Duplicates
from moyin.data.filters.image_hash import ImageHash
from moyin.data.filters.ocr_filter import OcrFilter
from moyin.data.filters.resize import ResizeFilter
from moyin.data.filters.score import Score
from moyin.data.manifest import Manifest, Position
from moyin.data.readers import Partition, rendered
from moyin.data.run import local
from moyin.data.run.ray import ordered as ordered_on_ray
from moyin.data.run.worker import Work
from moyin.data.writer import COLUMNS, DatasetWriter, chained_digest, exclusive
from moyin.dataset.column import Column
from moyin.dataset.dataset import Dataset
from moyin.dataset.progress import OnProgress, ignore
from moyin.dataset.tokenize import Tokenize
from moyin.render.renderer import VERSION, Renderer

STAGES_VERSION = 2  # increases whenever a stage decides or measures differently


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """Everything that determines the content of a dataset, except `workers` (default: one a core).

    inputs: folders and files of images. count: number of images to render, by `renderer` from
    `seed`, after the inputs. The other fields are the stages, in their order, and the columns that
    networks add to the finished dataset.
    """

    inputs: tuple[Path, ...] = ()
    count: int = 0
    seed: int = 0
    workers: int | None = None
    renderer: Renderer.Config = field(default_factory=Renderer.Config)
    decode: Decode.Config = field(default_factory=Decode.Config)
    resize: ResizeFilter.Config = field(default_factory=ResizeFilter.Config)
    blur: BlurFilter.Config = field(default_factory=BlurFilter.Config)
    ocr: OcrFilter.Config = field(default_factory=OcrFilter.Config)
    caption: Caption.Config = field(default_factory=Caption.Config)
    caption_filter: CaptionFilter.Config = field(default_factory=CaptionFilter.Config)
    score: Score.Config = field(default_factory=Score.Config)
    duplicates: Duplicates.Config = field(default_factory=Duplicates.Config)
    tokenize: Tokenize = field(default_factory=Tokenize)

    def __post_init__(self) -> None:
        if self.count < 0:
            raise ValueError(f"count must be 0 or more, not {self.count}")

    @property
    def stages(self) -> tuple[StageConfig, ...]:
        """The stages that workers run."""
        measurements = (self.decode, self.resize, self.blur, ImageHash.Config(), self.ocr)
        return (*measurements, self.caption, self.caption_filter, self.score)

    def partitions(self) -> Iterator[Partition]:
        """All partitions of all sources, in order. ValueError if there is no source."""
        if not self.inputs and not self.count:
            raise ValueError("nothing to prepare: set inputs=FOLDER, or count=N to render images")
        for path in self.inputs:
            yield from readers.partitions(path)
        yield from rendered.partitions(self.renderer, self.seed, self.count)

    def to_json(self) -> dict[str, Any]:
        """What the dataset's header records; columns of `tokenize` have digests of their own."""
        fields = asdict(self) | {"inputs": [path.resolve().name for path in self.inputs]}
        return {name: fields[name] for name in fields if name not in ("workers", "tokenize")}

    def digest(self) -> str:
        """SHA-256 of everything that determines the dataset, except the content of the inputs."""
        fields = {"versions": [VERSION, STAGES_VERSION], "preparation": self.to_json()}
        return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


def prepare(
    config: Preparation,
    out: Path | str,
    ray: str | None = None,
    on_progress: OnProgress = ignore,
) -> Dataset:
    """Prepare the dataset `out`, or resume an interrupted run, and return it.

    ray: address of a Ray cluster that runs the stages (`data.run.ray`). A finished dataset stays
    unchanged. ValueError if `out` has another configuration, if another run writes to it, or if
    the sources changed since it was begun. OSError if the disk is full; nothing is lost then.
    """
    digest = config.digest()
    dataset = Dataset.create(out, config.to_json(), config.seed, 0, digest)
    with exclusive(dataset.path):
        for name, kind in COLUMNS.items():
            dataset.begin_column(name, Column(kind=kind, digest=digest))
        manifest = Manifest(dataset)
        if not manifest.position.finished:
            _resume(config, dataset, manifest, ray, on_progress)
        return Dataset.create(out, config.to_json(), config.seed, len(dataset), digest)


def _resume(
    config: Preparation,
    dataset: Dataset,
    manifest: Manifest,
    ray: str | None,
    on_progress: OnProgress,
) -> None:
    partitions = _remaining(config.partitions(), manifest.position)
    work, workers = Work(config.stages), config.workers or os.cpu_count() or 1
    with closing(config.duplicates.build()) as duplicates:
        writer = DatasetWriter(dataset, manifest, duplicates, on_progress)
        on_ray = ordered_on_ray(work, partitions, ray) if ray else None
        with closing(on_ray or local.ordered(work, partitions, workers)) as results:
            for partition, outcomes in results:
                writer.add(partition, outcomes)
        writer.finish()


def _remaining(partitions: Iterator[Partition], position: Position) -> Iterator[Partition]:
    """The partitions still to read. ValueError if the earlier ones changed."""
    sources = ""
    for partition in itertools.islice(partitions, position.partitions):
        sources = chained_digest(sources, partition)
    if sources != position.sources:
        raise ValueError("the sources changed since this dataset was begun: prepare another one")
    return partitions
