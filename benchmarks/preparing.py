"""Preparation of small files, and of ten times as many: images per second, and memory.

    python benchmarks/preparing.py [--files 300]

Every run is a separate process. The files are different PNG images of 128x128. Memory is the peak
of the process plus that of its largest worker.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 128


def make(folder: Path, count: int) -> None:
    folder.mkdir()
    for number in range(count):
        levels = np.random.default_rng(number).integers(0, 256, (8, 8, 3)).astype(np.uint8)
        Image.fromarray(levels).resize((SIDE, SIDE), Image.Resampling.NEAREST).save(
            folder / f"{number:05d}.png"
        )


def measure(folder: Path, workers: int) -> None:
    """Prepare the folder and print what it took, as JSON."""
    from moyin.data.filters.resize import ResizeFilter
    from moyin.data.preparation import Preparation, prepare

    config = Preparation(inputs=(folder,), resize=ResizeFilter.Config(size=SIDE), workers=workers)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as out:
        rows = len(prepare(config, Path(out) / "dataset"))
    wall = time.perf_counter() - began
    used = [resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    print(
        json.dumps(
            {
                "rows": rows,
                "wall": wall,
                "processor": sum(u.ru_utime + u.ru_stime for u in used),
                "memory": [u.ru_maxrss / 1024 for u in used],
            }
        )
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=300)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--workers", type=int, default=1, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(options.measure, options.workers)
        return
    print("files | workers | images/s | processor time | this process | largest worker")
    with tempfile.TemporaryDirectory() as root:
        for count in (options.files, 10 * options.files):
            folder = Path(root) / f"{count}"
            make(folder, count)
            for workers in (1, 2):
                flags = ["--measure", str(folder), "--workers", str(workers)]
                command = [sys.executable, __file__, *flags]
                told = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
                took = json.loads(told.splitlines()[-1])
                memory = " | ".join(f"{m:.0f} MiB" for m in took["memory"])
                print(
                    f"{count} | {workers} | {took['rows'] / took['wall']:.0f} | "
                    f"{took['processor']:.0f} s | {memory}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
