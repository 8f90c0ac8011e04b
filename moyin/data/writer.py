"""Write a prepared dataset: drop duplicates, write shards, record every decision."""

from __future__ import annotations

import fcntl
import hashlib
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image

from moyin.data.filters.duplicates import Duplicates
from moyin.data.item import Item
from moyin.data.manifest import Decision, Manifest
from moyin.data.readers import Partition
from moyin.data.run.worker import Outcome, thumbnail
from moyin.dataset import dataset as datasets
from moyin.dataset.dataset import Dataset
from moyin.dataset.progress import OnProgress

MAX_DECISIONS = 4096  # decisions after which a manifest file is written, even without a full shard
EXAMPLES = 12  # dropped images with a thumbnail, per reason
IDENTITY = ("source", "key", "pixel_hash", "phash")  # fields that find duplicates of a kept image
COLUMNS = {
    "source": "text",
    "key": "text",
    "source_height": "int64",
    "source_width": "int64",
    "bucket": "text",
    "contrast": "float64",
    "sharpness": "float64",
    "pixel_hash": "text",
    "phash": "text",
    "ocr_text": "text",
    "text_precision": "float64",
    "text_recall": "float64",
    "language": "text",
    "caption_length": "int64",
    "characters": "int64",
    "level": "int64",
    "quality": "float64",
}


class DatasetWriter:
    """Writes a shard after 256 rows, or a manifest file after 4096 decisions.

    The decisions of an earlier run are read first, so that its images count as duplicates.
    """

    def __init__(
        self,
        dataset: Dataset,
        manifest: Manifest,
        duplicates: Duplicates,
        on_progress: OnProgress,
    ) -> None:
        self.dataset, self.manifest, self.duplicates = dataset, manifest, duplicates
        self.on_progress = on_progress
        self.position = manifest.position
        self.kept = self.dropped = 0
        self._rows: list[Outcome] = []
        self._decisions: list[Decision] = []
        self._examples: Counter[tuple[str, str]] = Counter()
        for decision in manifest.decisions(["kept", "stage", "reason", *IDENTITY]):
            self._restore(decision)

    def add(self, partition: Partition, outcomes: Sequence[Outcome]) -> None:
        """Decide on the outcomes of the next partition, except those decided by an earlier run."""
        for outcome in outcomes[self.position.items :]:
            self._decide(outcome)
            self.position = replace(self.position, items=self.position.items + 1)
            if len(self._rows) == datasets.SHARD or len(self._decisions) == MAX_DECISIONS:
                self._flush()
        sources = chained_digest(self.position.sources, partition)
        count = self.position.partitions + 1
        self.position = replace(self.position, partitions=count, items=0, sources=sources)

    def finish(self) -> None:
        """Write the remaining rows. ValueError if no image was kept."""
        self.position = replace(self.position, finished=bool(self._rows or self.position.shards))
        self._flush()
        if not self.position.finished:
            raise ValueError(
                f"all {self.dropped} images were dropped: {self.manifest.path} has the reasons"
            )

    def _decide(self, outcome: Outcome) -> None:
        item = outcome.item
        item = self.duplicates(item) if item.kept else item
        if item.kept:
            self._rows.append(Outcome(item, outcome.image))
        decision = _decision(item)
        reason = (item.stage, item.reason)
        self._examples[reason] += 1
        if not item.kept and self._examples[reason] <= EXAMPLES:
            decision["thumbnail"] = _thumbnail(outcome.image)
        self._decisions.append(decision)
        self._count(item.kept)

    def _flush(self) -> None:
        number = self.position.shards
        if self._rows:
            items = [row.item for row in self._rows]
            self.dataset.write_column("image", number, [row.image for row in self._rows])
            self.dataset.write_column("meta", number, [item.sample.to_json() for item in items])
            for name in COLUMNS:
                self.dataset.write_column(name, number, [_value(item, name) for item in items])
            self.position = replace(self.position, shards=number + 1)
        if self._decisions or self.position.finished:
            self.manifest.append(self._decisions, self.position)
        self._rows, self._decisions = [], []

    def _restore(self, decision: Decision) -> None:
        """Take over a decision of an earlier run."""
        self._count(decision["kept"])
        self._examples[decision["stage"], decision["reason"]] += 1
        if decision["kept"]:
            name = f"{decision['source']}/{decision['key']}"
            self.duplicates.add(decision["pixel_hash"], decision["phash"], name)

    def _count(self, kept: bool) -> None:
        self.kept, self.dropped = self.kept + kept, self.dropped + (not kept)
        self.on_progress("images kept", self.kept, self.kept + self.dropped)


def chained_digest(before: str, partition: Partition) -> str:
    """Digest of a partition and, through `before`, of all partitions before it."""
    text = f"{before}{partition!r}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Lock the dataset for this process, and delete incomplete files of a killed one.

    ValueError if another process holds the lock.
    """
    with (path / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"another run is writing to {path}: wait for it or stop it") from None
        for partial in path.rglob("*.partial"):
            partial.unlink(missing_ok=True)
        yield


def _decision(item: Item) -> Decision:
    """The manifest's row. Rendered images have no near copies, so their phash is left out."""
    return {
        "source": item.source,
        "key": item.key,
        "kept": item.kept,
        "stage": item.stage,
        "reason": item.reason,
        "detail": item.detail,
        "notes": list(item.notes),
        "pixel_hash": str(item.values.get("pixel_hash", "")),
        "phash": "" if item.rendered else str(item.values.get("phash", "")),
    }


def _value(item: Item, name: str) -> Any:
    return {"source": item.source, "key": item.key}.get(name) or item.values[name]


def _thumbnail(image: bytes) -> bytes:
    """A thumbnail of an outcome's image, which is complete if it was dropped as a duplicate."""
    return thumbnail(Image.open(io.BytesIO(image))) if image else b""
