"""The manifest: one decision about every image, in DATASET/manifest/00000.parquet, …

Each file covers one shard of the dataset and is written after it. Its metadata hold the position
in the sources, so the last file says where an interrupted run resumes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from moyin.dataset.atomic_file import replacing
from moyin.dataset.dataset import Dataset

SCHEMA = pa.schema(
    {
        "source": pa.string(),
        "key": pa.string(),
        "kept": pa.bool_(),
        "stage": pa.string(),
        "reason": pa.string(),
        "detail": pa.string(),
        "notes": pa.list_(pa.string()),
        "pixel_hash": pa.string(),
        "phash": pa.string(),
        "thumbnail": pa.binary(),
    }
)
Decision = dict[str, Any]  # the fields of SCHEMA


@dataclass(frozen=True, kw_only=True)
class Position:
    """How far a run got.

    partitions: partitions read completely. items: items decided in the next one. shards: shards
    written. sources: digest of all partitions so far, which detects changed sources.
    """

    partitions: int = 0
    items: int = 0
    shards: int = 0
    sources: str = ""
    finished: bool = False


class Manifest:
    """The decisions about the images of one dataset. ValueError if one of its files is damaged."""

    def __init__(self, dataset: Dataset) -> None:
        self.path = dataset.path / "manifest"
        count = len(list(self.path.glob("*")))
        paths = (self.path / f"{number:05d}.parquet" for number in range(count))
        self.files = [path for path in paths if path.exists()]

    @property
    def position(self) -> Position:
        """Where to resume."""
        if not self.files:
            return Position()
        metadata = _read(self.files[-1], []).schema.metadata
        return Position(**json.loads(metadata[b"position"]))

    def append(self, decisions: Sequence[Decision], position: Position) -> None:
        """Write the decisions made since the last file, atomically."""
        path = self.path / f"{len(self.files):05d}.parquet"
        schema = SCHEMA.with_metadata({"position": json.dumps(asdict(position))})
        with replacing(path) as file:
            pq.write_table(pa.Table.from_pylist(list(decisions), schema), file, compression="zstd")
        self.files.append(path)

    def decisions(self, columns: Sequence[str] = tuple(SCHEMA.names)) -> Iterator[Decision]:
        """All decisions in order; one file is in memory at a time."""
        for path in self.files:
            yield from _read(path, columns).to_pylist()


def _read(path: Path, columns: Sequence[str]) -> pa.Table:
    try:
        return pq.read_table(path, columns=list(columns))
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path} is damaged ({error}): prepare into another folder") from error
