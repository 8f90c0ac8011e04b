"""A dataset of rendered images alone: on all cores, to the same bytes, and it can grow.

Nothing is filtered, so every image's row is known before it is drawn. `preparation` filters, and
takes images from anywhere.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from moyin.data.run import local
from moyin.data.show import Speed
from moyin.dataset.dataset import SHARD, Dataset
from moyin.render import fonts
from moyin.render.renderer import VERSION, Renderer

Advance = Callable[[int], None]
Rows = tuple[int, range]  # a shard's number, and the images in it


def maker_digest(config: Renderer.Config, seed: int) -> str:
    """SHA-256 of all that decides what `render` draws."""
    made = {"version": VERSION, "seed": seed, "config": asdict(config)}
    if config.font_folder:
        made["fonts"] = fonts.digests(config.font_folder)
    return hashlib.sha256(json.dumps(made, sort_keys=True).encode()).hexdigest()


def render(
    config: Renderer.Config, out: Path | str, count: int, seed: int, workers: int | None = None
) -> Dataset:
    """Render images 0 to `count` - 1 of `seed` into the dataset `out`, and return it.

    The dataset's bytes do not depend on `workers` (default: one a core). What is there already is
    kept, so an interrupted run goes on; KeyboardInterrupt passes through once the shards under
    way are written. ValueError if `out` holds what another configuration or seed made.
    """
    if count < 1:
        raise ValueError(f"count is {count}; a dataset has at least one image")
    dataset = Dataset.create(out, asdict(config), seed, count, maker_digest(config, seed))
    starts = range(0, count, SHARD)
    shares = [(i, range(first, min(first + SHARD, count))) for i, first in enumerate(starts)]
    todo = [(i, rows) for i, rows in shares if dataset.shard_rows(i) < len(rows)]
    workers = min(workers or os.cpu_count() or 1, len(todo))
    left = sum(len(rows) for _, rows in todo)
    results = local.ordered(Rendering(config, dataset.path), todo, workers)
    with _progress(count, count - left) as advance, closing(results):
        for (_, rows), _ in results:
            advance(len(rows))
    return Dataset.open(out)


@dataclass(frozen=True)
class Rendering:
    """Called with a shard's number and images, it draws and writes them."""

    renderer: Renderer.Config
    path: Path

    def __call__(self, shard: Rows) -> None:
        number, indices = shard
        renderer, dataset = self.renderer.build(), Dataset.open(self.path)
        dataset.write_shard(number, [renderer(dataset.header["seed"], index) for index in indices])


@contextmanager
def _progress(count: int, done: int) -> Iterator[Advance]:
    columns = ("render", BarColumn(), MofNCompleteColumn(), Speed(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        task = progress.add_task("render", total=count, completed=done)
        yield lambda rows: progress.advance(task, rows)
