"""What was decided about every image, kept beside the dataset: DATASET/decisions/00000.parquet, …

A file covers one shard of the dataset and is written after it, and says how far the sources were
read by then. So the last file is where a run goes on, whatever stopped it.
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

SCHEMA = pa.schema(
    {
        "source": pa.string(),
        "key": pa.string(),
        "kept": pa.bool_(),
        "stage": pa.string(),
        "reason": pa.string(),
        "detail": pa.string(),
        "notes": pa.list_(pa.string()),
        "pixels": pa.string(),
        "look": pa.string(),
        "thumbnail": pa.binary(),
    }
)
Decision = dict[str, Any]  # the fields of SCHEMA


@dataclass(frozen=True, kw_only=True)
class Position:
    """How far a run is: shares read whole, items decided of the next one, shards written.

    sources: a digest of all shares so far, by which changed sources are told.
    """

    shares: int = 0
    items: int = 0
    shards: int = 0
    sources: str = ""
    finished: bool = False


class Journal:
    """The decisions of one dataset. ValueError where a file of it is damaged."""

    def __init__(self, path: Path) -> None:
        self.path = path
        names = (path / f"{number:05d}.parquet" for number in range(len(list(path.glob("*")))))
        self.files = [name for name in names if name.exists()]

    @property
    def position(self) -> Position:
        """Where to go on."""
        if not self.files:
            return Position()
        fields = _read(self.files[-1], []).schema.metadata
        return Position(**json.loads(fields[b"position"]))

    def append(self, decisions: Sequence[Decision], position: Position) -> None:
        """Write the decisions made since the last file, whole or not at all."""
        path = self.path / f"{len(self.files):05d}.parquet"
        known = SCHEMA.with_metadata({"position": json.dumps(asdict(position))})
        with replacing(path) as file:
            pq.write_table(pa.Table.from_pylist(list(decisions), known), file, compression="zstd")
        self.files.append(path)

    def decisions(self, columns: Sequence[str] = tuple(SCHEMA.names)) -> Iterator[Decision]:
        """All decisions in order, one file in memory at a time."""
        for path in self.files:
            yield from _read(path, columns).to_pylist()


def _read(path: Path, columns: Sequence[str]) -> pa.Table:
    try:
        return pq.read_table(path, columns=list(columns))
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path} is damaged ({error}): prepare into another folder") from error
