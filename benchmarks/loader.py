"""Read batches of a dataset, and of one ten times as large: rows per second, and memory.

    python benchmarks/loader.py [--rows 1000] [--batch 16] [--workers 2]

A row has latents of 32 KiB, a text and a number that determines its weight. A separate process
reads one epoch in shuffled batches, which threads prefetch. Memory is the private memory of the
process, compared with that before the dataset was opened: mapped files belong to the system.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from pathlib import Path

import numpy as np

from moyin.dataset.column import Column
from moyin.dataset.concat import ConcatDataset
from moyin.dataset.dataset import SHARD, Dataset
from moyin.dataset.loader import BatchSampler, WeightRule, prefetch
from moyin.dataset.sample import Sample

LATENTS = (16, 32, 32)


def fill(path: Path, count: int) -> None:
    dataset = Dataset.create(path, {}, seed=0, count=count, digest="benchmark")
    image = np.zeros((8, 8, 3), np.uint8)
    dataset.append(Sample(image, (f"“春”{i}",), (), {}, (), 0, i) for i in range(count))
    latents = Column(kind="array", digest="", dtype="float16", shape=LATENTS)
    dataset.begin_column("latents", latents)
    random = np.random.default_rng(0)
    for number in range(dataset.shard_count):
        rows = random.normal(size=(min(SHARD, count - number * SHARD), *LATENTS))
        dataset.write_column("latents", number, list(rows.astype(np.float16)))
    dataset.add_column("characters", "", (i % 12 for i in range(count)), "int64")


def own() -> float:
    """MiB that are this process's alone."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024


def epoch(path: Path, count: int, batch: int, workers: int) -> tuple[float, float]:
    """Rows a second, and the most memory in MiB that a batch saw above that at the beginning."""
    before = own()
    datasets = ConcatDataset.open(str(path))
    stream = BatchSampler(datasets, batch, 0, [WeightRule.parse("characters<=4:2")])
    names = ["meta", "latents"]
    batches = prefetch(lambda n: datasets.read(names, stream.rows(n)), 0, workers)
    next(batches)
    start, most = time.perf_counter(), 0.0
    for _ in range(count // batch - 1):
        assert len(next(batches)) == batch
        most = max(most, own() - before)
    batches.close()
    return (count - batch) / (time.perf_counter() - start), most


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        for count in (options.rows, 10 * options.rows):
            path = Path(work) / str(count)
            fill(path, count)
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                found = pool.apply(epoch, (path, count, options.batch, options.workers))
            size = sum(file.stat().st_size for file in path.rglob("*.arrow")) / 2**20
            print(f"{count:7} rows {size:7.0f} MiB {found[0]:8.0f} rows/s {found[1]:6.1f} MiB held")


if __name__ == "__main__":
    main()
