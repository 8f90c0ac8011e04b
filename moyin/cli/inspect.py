"""What a path is: a checkpoint, a training state or a dataset, with its sizes and provenance."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any

from moyin.checkpoint.layout import FOLDERS, MODEL_INDEX, unpacked
from moyin.checkpoint.shards import Entry, hash_tensors, read_header, read_json

# What a training state and a dataset are known by.
RECORD = "state.json"
WEIGHTS = "weights.safetensors"
DATASET = "dataset.json"


def report(path: Path) -> Iterator[str]:
    """Lines for the terminal; the last is `digest <sha256>`, equal when the content is.

    Raises ValueError where there is nothing at `path`, or nothing that Moyin writes.
    """
    if not path.exists():
        raise ValueError(f"nothing at {path}")
    if (path / MODEL_INDEX).is_file():
        return _checkpoint(path)
    state = _newest_state(path)
    if state is not None:
        return _state(state)
    if (path / DATASET).is_file():
        return _dataset(path)
    raise ValueError(f"{path} is no checkpoint, no training state and no dataset")


def _checkpoint(path: Path) -> Iterator[str]:
    from moyin.checkpoint.folder import Checkpoint

    checkpoint = Checkpoint.open(path)
    entries = checkpoint.entries
    yield f"checkpoint {path}"
    owners = _owners(entries)
    for network in FOLDERS:
        if checkpoint.has(network):
            yield f"{network:<12} {_size({n: entries[n] for n in owners[network]})}"
    yield f"{'in all':<12} {_size(entries)}"
    if checkpoint.packed:
        yield f"{'packed':<12} {checkpoint.packed} (generator and decoder)"
    yield from _facts(checkpoint.notes)
    yield f"digest {checkpoint.digest()}"


def _owners(entries: dict[str, Entry]) -> dict[str, list[str]]:
    """Tensors by network, `<folder>/<name>` each."""
    from moyin.checkpoint.key_mapping import Names
    from moyin.checkpoint.load import names_module

    names = {network: Names(names_module(network).RULES) for network in FOLDERS}
    owners: dict[str, list[str]] = defaultdict(list)
    for full in entries:
        folder, _, name = full.partition("/")
        for network, place in FOLDERS.items():
            if place == folder and names[network].ours(name) is not None:
                owners[network].append(full)
    return owners


def _size(entries: dict[str, Entry]) -> str:
    count = sum(prod(e.shape) for e in unpacked(entries).values())
    size = sum(e.size for e in entries.values())
    kinds = Counter(e.dtype for e in entries.values())
    return f"{count / 1e6:10.2f} M parameters {size / 2**20:9.1f} MiB  {', '.join(kinds)}"


def _newest_state(path: Path) -> Path | None:
    """The state at `path`, or the newest of a training's folder."""
    if (path / RECORD).is_file():
        return path
    for folder in (path, path / "state"):
        found = sorted(p for p in folder.glob("step-*") if (p / RECORD).is_file())
        if found:
            return found[-1]
    return None


def _state(path: Path) -> Iterator[str]:
    record = read_json(path / RECORD)
    entries = read_header(path / WEIGHTS)
    yield f"training state {path}"
    for kind in ("weights", "average", "optimizer"):
        part = {n: e for n, e in entries.items() if n.startswith(f"{kind}.")}
        yield f"{kind:<12} {_size(part)}"
    yield from _facts({k: v for k, v in record.items() if k != "sha256"})
    content = {k: v for k, v in record.items() if k in ("step", "stage")}
    total = hashlib.sha256(hash_tensors(entries).encode())
    total.update(json.dumps(content, sort_keys=True).encode())
    yield f"digest {total.hexdigest()}"


def _dataset(path: Path) -> Iterator[str]:
    from moyin.dataset.dataset import Dataset

    dataset = Dataset.open(path)
    yield f"dataset {path}"
    for name in dataset.columns:
        yield f"{name:<12} {dataset.rows_of(name):10} rows {dataset.size_of(name) / 2**20:9.1f} MiB"
    yield from _facts(dataset.header)
    yield f"digest {dataset.digest()}"


def _facts(facts: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """`a.b value` lines of nested facts."""
    for key, value in facts.items():
        if isinstance(value, dict):
            yield from _facts(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key} {value}"
