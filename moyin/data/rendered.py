"""A dataset of rendered images alone: rendered on all cores, with the same bytes, extensible.

No image is filtered, so the row of every image is known in advance. `preparation` filters images
and takes them from any source.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

from moyin.data.run import local
from moyin.dataset.dataset import SHARD, Dataset
from moyin.dataset.progress import OnProgress, ignore
from moyin.render import fonts
from moyin.render.renderer import VERSION, Renderer

Shard = tuple[int, range]  # its number and the numbers of its images


def config_digest(config: Renderer.Config, seed: int) -> str:
    """SHA-256 of everything that determines the rendered images."""
    fields = {"version": VERSION, "seed": seed, "config": asdict(config)}
    if config.font_folder:
        fields["fonts"] = fonts.digests(config.font_folder)
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


def render(
    config: Renderer.Config,
    out: Path | str,
    count: int,
    seed: int,
    workers: int | None = None,
    on_progress: OnProgress = ignore,
) -> Dataset:
    """Render images 0 to `count` - 1 of `seed` into the dataset `out`, and return it.

    The dataset's bytes do not depend on `workers` (default: one a core). Existing rows are kept,
    so an interrupted run resumes; KeyboardInterrupt is raised once the shards in progress are
    written. ValueError if `out` was made with another configuration or seed.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, not {count}")
    dataset = Dataset.create(out, asdict(config), seed, count, config_digest(config, seed))
    starts = range(0, count, SHARD)
    shards = [(i, range(first, min(first + SHARD, count))) for i, first in enumerate(starts)]
    remaining = [(i, rows) for i, rows in shards if dataset.shard_rows(i) < len(rows)]
    workers = min(workers or os.cpu_count() or 1, len(remaining))
    done = count - sum(len(rows) for _, rows in remaining)
    on_progress("render", done, count)
    with closing(local.ordered(RenderShard(config, dataset.path), remaining, workers)) as results:
        for (_, rows), _ in results:
            done += len(rows)
            on_progress("render", done, count)
    return Dataset.open(out)


@dataclass(frozen=True)
class RenderShard:
    """Renders and writes one shard."""

    renderer: Renderer.Config
    path: Path

    def __call__(self, shard: Shard) -> None:
        number, indices = shard
        renderer, dataset = self.renderer.build(), Dataset.open(self.path)
        dataset.write_shard(number, [renderer(dataset.header["seed"], index) for index in indices])
