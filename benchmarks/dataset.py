"""File formats for a training dataset: size, write, random read, shuffled epoch.

    pip install pylance webdataset
    python benchmarks/dataset.py [--rows 2048] [--runs 3] [--cold]

A row has what the decoder's training reads: a rendered image of 512x512 as PNG, its metadata as
JSON, 16x16 semantic tokens and float16 latents. All formats store and return the same bytes, in
shards of 256 rows where they have shards; decoding the PNG is not included. Two spawned workers
read the shuffled epochs and count the bytes of the rows. WebDataset reads in sequence only, so it
shuffles whole shards and a buffer of 1000 rows. --cold drops a format's files from the page cache
before every read. Results are medians over runs, in which the formats alternate.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

Row = dict[str, bytes]
SHARD, RENDERED, BATCH, WORKERS = 256, 32, 16, 2
BASE = ("image", "meta", "latents")
ADDED = "tokens"


@lru_cache(maxsize=1)
def rows_of(count: int) -> list[Row]:
    """Rows as large as rendered ones. Bytes in place of deflated images are drawn at random,
    for rows that come again would compress as real ones never do."""
    from moyin.dataset.column import Column
    from moyin.recipes import find

    recipe: Any = find("nano/images")()
    samples = [recipe.renderer.build()(0, index) for index in range(RENDERED)]
    sizes = [len(Column(kind="png", digest="").encode(sample.image)) for sample in samples]
    meta = [Column(kind="json", digest="").encode(sample.to_json()) for sample in samples]
    random = np.random.default_rng(0)
    return [
        {
            "image": random.bytes(sizes[index % RENDERED]),
            "meta": meta[index % RENDERED],
            "latents": random.normal(size=(16, 64, 64)).astype(np.float16).tobytes(),
            ADDED: random.bytes(512),
        }
        for index in range(count)
    ]


def shards(count: int, names: Sequence[str]) -> Iterator[list[Row]]:
    rows = rows_of(count)
    for first in range(0, count, SHARD):
        yield [{n: row[n] for n in names} for row in rows[first : first + SHARD]]


class Files:
    """A folder a column, a file a shard: what a column is added to without rewriting."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, count: int, names: Sequence[str]) -> None:
        for number, rows in enumerate(shards(count, names)):
            for name in names:
                (self.path / name).mkdir(parents=True, exist_ok=True)
                values = pa.array([row[name] for row in rows], pa.large_binary())
                self.save(self.path / name / f"{number:05d}", pa.table({"row": values}))

    add = write

    def rows(self, indices: Sequence[int], names: Sequence[str]) -> Iterator[Row]:
        for i in indices:
            yield {n: self.cell(self.path / n / f"{i // SHARD:05d}", i % SHARD) for n in names}

    def epoch(self, worker: int, count: int, seed: int) -> Iterator[Row]:
        order = np.random.default_rng(seed).permutation(count)[worker::WORKERS]
        for first in range(0, len(order), BATCH):
            yield from self.rows(order[first : first + BATCH].tolist(), (*BASE, ADDED))

    def save(self, path: Path, table: pa.Table) -> None:
        raise NotImplementedError

    def cell(self, path: Path, number: int) -> bytes:
        raise NotImplementedError


class Parquet(Files):
    """Parquet files, `group` rows together, memory-mapped and kept open."""

    group = 16

    def save(self, path: Path, table: pa.Table) -> None:
        options = {"compression": "none", "use_dictionary": False}
        pq.write_table(table, path, row_group_size=self.group, **options)

    def cell(self, path: Path, number: int) -> bytes:
        values = parquet(path).read_row_group(number // self.group).column(0)
        return bytes(values[number % self.group].as_py())


class ParquetByRow(Parquet):
    """The same with a group a row."""

    group = 1


class Arrow(Files):
    """Arrow's own file format, memory-mapped: a row is a slice of the map."""

    def save(self, path: Path, table: pa.Table) -> None:
        with pa.ipc.new_file(path, table.schema) as file:
            file.write_table(table)

    def cell(self, path: Path, number: int) -> bytes:
        return bytes(arrow(path)[number].as_buffer())


class Lance:
    """A Lance dataset; images and latents as plain large binaries."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, count: int, names: Sequence[str]) -> None:
        import lance

        schema = pa.schema([(name, pa.large_binary()) for name in names])
        batches = (pa.RecordBatch.from_pylist(r, schema=schema) for r in shards(count, names))
        reader = pa.RecordBatchReader.from_batches(schema, batches)
        lance.write_dataset(reader, str(self.path), max_rows_per_file=16 * SHARD)

    def add(self, count: int, names: Sequence[str]) -> None:
        import lance

        schema = pa.schema([(name, pa.large_binary()) for name in names])
        batches = (pa.RecordBatch.from_pylist(r, schema=schema) for r in shards(count, names))
        dataset = lance.dataset(str(self.path))
        dataset.add_columns(pa.RecordBatchReader.from_batches(schema, batches))

    def rows(self, indices: Sequence[int], names: Sequence[str]) -> Iterator[Row]:
        yield from lance_open(self.path).take(list(indices), columns=list(names)).to_pylist()

    def epoch(self, worker: int, count: int, seed: int) -> Iterator[Row]:
        order = np.random.default_rng(seed).permutation(count)[worker::WORKERS]
        for first in range(0, len(order), BATCH):
            yield from self.rows(order[first : first + BATCH].tolist(), (*BASE, ADDED))


class WebDataset:
    """Tars of 256 rows. A column is added by writing all of them again."""

    ends: ClassVar = {"image": "png", "meta": "json", "latents": "latents", ADDED: "tokens"}

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, count: int, names: Sequence[str]) -> None:
        import webdataset

        self.path.mkdir(parents=True, exist_ok=True)
        number = 0
        for shard, rows in enumerate(shards(count, names)):
            with webdataset.TarWriter(str(self.path / f"{shard:05d}.tar"), encoder=False) as tar:
                for row in rows:
                    tar.write({"__key__": f"{number:08d}"} | {self.ends[n]: row[n] for n in row})
                    number += 1

    def add(self, count: int, names: Sequence[str]) -> None:
        self.write(count, (*BASE, *names))

    def epoch(self, worker: int, count: int, seed: int) -> Iterator[Row]:
        import random

        import webdataset

        tars = sorted(map(str, self.path.glob("*.tar")))
        random.Random(seed).shuffle(tars)
        mine = webdataset.WebDataset(tars[worker::WORKERS], shardshuffle=False, empty_check=False)
        for row in mine.shuffle(1000, rng=random.Random(seed)):
            yield {name: row[end] for name, end in self.ends.items()}


LAYOUTS: dict[str, type[Any]] = {
    "Parquet, 16 rows a group": Parquet,
    "Parquet, a row a group": ParquetByRow,
    "Arrow, memory-mapped": Arrow,
    "Lance": Lance,
    "WebDataset": WebDataset,
}


@lru_cache(maxsize=256)
def parquet(path: Path) -> pq.ParquetFile:
    return pq.ParquetFile(path, memory_map=True)


@lru_cache(maxsize=256)
def arrow(path: Path) -> Any:
    return pa.ipc.open_file(pa.memory_map(str(path))).get_batch(0).column(0)


@lru_cache(maxsize=1)
def lance_open(path: Path) -> Any:
    import lance

    return lance.dataset(str(path))


def settle(path: Path, forget: bool = False) -> None:
    """Write a folder's files to the disk, and let the page cache forget them."""
    for file in (p for p in path.rglob("*") if p.is_file()):
        handle = os.open(file, os.O_RDONLY)
        os.fsync(handle)
        if forget:
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(handle)


def _epoch(layout: str, path: Path, count: int, seed: int, worker: int) -> tuple[float, int, int]:
    """Seconds, rows and bytes of one worker; the first row is read before the clock starts."""
    epoch = LAYOUTS[layout](path).epoch(worker, count, seed)
    next(epoch)
    start, rows, size = time.perf_counter(), 1, 0
    for row in epoch:
        rows, size = rows + 1, size + sum(map(len, row.values()))
    return time.perf_counter() - start, rows, size


def _random(layout: str, path: Path, count: int, seed: int) -> float:
    """Milliseconds to read 8 rows drawn at random from a layout that was just opened."""
    picked = np.random.default_rng(seed).integers(count, size=(20, 8)).tolist()
    reader = LAYOUTS[layout](path)
    list(reader.rows(picked[0], BASE))
    start = time.perf_counter()
    for indices in picked[1:]:
        assert len(list(reader.rows(indices, BASE))) == 8
    return 1e3 * (time.perf_counter() - start) / (len(picked) - 1)


def timed(work: Callable[[], None], path: Path) -> float:
    start = time.perf_counter()
    work()
    settle(path)
    return time.perf_counter() - start


def measure(layout: str, path: Path, count: int, seed: int, cold: bool, pool: Any) -> list[float]:
    """Write, add, size in MiB, random read, rows a second of an epoch."""
    made = LAYOUTS[layout](path)
    written = timed(lambda: made.write(count, BASE), path)
    added = timed(lambda: made.add(count, (ADDED,)), path)
    size = sum(p.stat().st_size for p in path.rglob("*") if p.is_file()) / 2**20
    settle(path, cold)
    read = pool.apply(_random, (layout, path, count, seed)) if layout != "WebDataset" else np.nan
    settle(path, cold)
    found = pool.map(partial(_epoch, layout, path, count, seed), range(WORKERS), 1)
    assert sum(rows for _, rows, _ in found) == count
    return [written, added, size, read, count / max(seconds for seconds, *_ in found)]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=2048)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--cold", action="store_true")
    parser.add_argument("--work", type=Path, help="a folder on the disk to be measured")
    options = parser.parse_args()
    rows_of(options.rows)
    found: dict[str, list[list[float]]] = {name: [] for name in LAYOUTS}
    spawned = multiprocessing.get_context("spawn")
    for run in range(options.runs):
        for name, results in found.items():
            with tempfile.TemporaryDirectory(dir=options.work) as work, spawned.Pool(WORKERS) as p:
                path = Path(work) / "data"
                results.append(measure(name, path, options.rows, run, options.cold, p))
    heads = ("write s", "add s", "MiB", "8 rows ms", "epoch rows/s")
    print(f"{options.rows} rows, {'cold' if options.cold else 'warm'}, median of {options.runs}")
    print(f"{'':26}" + "".join(f"{head:>14}" for head in heads))
    for name, results in found.items():
        medians = [statistics.median(column) for column in zip(*results, strict=True)]
        print(f"{name:26}" + "".join(f"{value:14.1f}" for value in medians))


if __name__ == "__main__":
    main()
