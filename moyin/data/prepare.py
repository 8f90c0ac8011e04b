"""Preparing a store: render on all cores, in any order, to the same bytes."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TimeRemainingColumn,
)
from rich.text import Text

from moyin.data import faces
from moyin.data.render import VERSION, Renderer
from moyin.data.store import SHARD, Store

Advance = Callable[[int], None]
_worker: tuple[Renderer, Store]  # what a worker process works with, set by _start


def maker_digest(config: Renderer.Config, seed: int) -> str:
    """SHA-256 of all that decides what `prepare` renders."""
    made = {"version": VERSION, "seed": seed, "config": asdict(config)}
    if config.face_folder:
        made["faces"] = faces.digests(config.face_folder)
    return hashlib.sha256(json.dumps(made, sort_keys=True).encode()).hexdigest()


def prepare(
    config: Renderer.Config, out: Path | str, count: int, seed: int, workers: int | None = None
) -> Store:
    """Render pictures 0 to `count` - 1 of `seed` into the store `out`, and return it.

    The store's bytes do not depend on `workers` (default: one a core). What is there already is
    kept, so an interrupted run goes on; KeyboardInterrupt passes through once the shards under
    way are written. ValueError if `out` holds what another configuration or seed made.
    """
    if count < 1:
        raise ValueError(f"count is {count}; a store has at least one picture")
    store = Store.create(out, asdict(config), seed, count, maker_digest(config, seed))
    starts = range(0, count, SHARD)
    shares = {i: range(first, min(first + SHARD, count)) for i, first in enumerate(starts)}
    todo = {i: rows for i, rows in shares.items() if store.shard_rows(i) < len(rows)}
    workers = min(workers or os.cpu_count() or 1, len(todo))
    with _progress(count, count - sum(map(len, todo.values()))) as advance:
        if workers > 1:
            _render_all(config, store, todo, workers, advance)
        else:
            _start(config, store.path)
            for number, indices in todo.items():
                advance(_render(number, indices))
    return Store.open(out)


def _start(config: Renderer.Config, path: Path) -> None:
    global _worker
    _worker = config.build(), Store.open(path)


def _start_worker(config: Renderer.Config, path: Path) -> None:
    # Ctrl-C reaches the whole group; the parent alone answers, so that shards end whole.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _start(config, path)


def _render(number: int, indices: range) -> int:
    """Make one shard; returns how many rows it has."""
    renderer, store = _worker
    store.write_shard(number, [renderer(store.header["seed"], index) for index in indices])
    return len(indices)


def _render_all(
    config: Renderer.Config, store: Store, todo: dict[int, range], workers: int, advance: Advance
) -> None:
    # Spawned, never forked: a fork copies the locks of whatever threads the parent runs.
    spawned = multiprocessing.get_context("spawn")
    started = (config, store.path)
    with ProcessPoolExecutor(workers, spawned, _start_worker, started) as pool:
        tasks = [pool.submit(_render, number, indices) for number, indices in todo.items()]
        try:
            for task in as_completed(tasks):
                advance(task.result())
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


class _Speed(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.0f} pictures/s" if task.speed else "")


@contextmanager
def _progress(count: int, done: int) -> Iterator[Advance]:
    columns = ("render", BarColumn(), MofNCompleteColumn(), _Speed(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        task = progress.add_task("render", total=count, completed=done)
        yield lambda rows: progress.advance(task, rows)
