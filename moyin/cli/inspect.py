"""`moyin inspect`: what a path holds, with sizes and provenance."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from moyin.checkpoint.shards import Entry

# Files that identify a training state and a dataset.
RECORD = "state.json"
WEIGHTS = "weights.safetensors"
DATASET = "dataset.json"


def inspect(
    path: Annotated[Path, typer.Argument(help="Checkpoint, training state or dataset.")],
) -> None:
    """Print what a path holds; the last line is a digest of its content."""
    for line in report(path):
        print(line)


def report(path: Path) -> Iterator[str]:
    """Lines for the terminal; the last is `digest <sha256>`, equal when the content is.

    Raises ValueError where there is nothing at `path`, or nothing that Moyin writes.
    """
    from moyin.checkpoint.layout import MODEL_INDEX

    if not path.exists():
        raise ValueError(f"{path} does not exist")
    if (path / MODEL_INDEX).is_file():
        return _checkpoint(path)
    state = _newest_state(path)
    if state is not None:
        return _state(state)
    if (path / DATASET).is_file():
        return _dataset(path)
    raise ValueError(f"{path} is neither a checkpoint nor a training state nor a dataset")


def _checkpoint(path: Path) -> Iterator[str]:
    from moyin.checkpoint.folder import Checkpoint
    from moyin.checkpoint.layout import FOLDERS

    checkpoint = Checkpoint.open(path)
    entries = checkpoint.entries
    yield f"checkpoint {path}"
    owners = _owners(entries)
    for network in FOLDERS:
        if checkpoint.has(network):
            yield f"{network:<12} {_size({n: entries[n] for n in owners[network]})}"
    yield f"{'total':<12} {_size(entries)}"
    if checkpoint.packed:
        yield f"{'quantized':<12} {checkpoint.packed} (generator and decoder)"
    yield from _lines(checkpoint.notes)
    yield f"digest {checkpoint.digest()}"


def _owners(entries: dict[str, Entry]) -> dict[str, list[str]]:
    """Names of tensors, `<folder>/<name>`, by network."""
    from moyin.checkpoint.key_mapping import Names
    from moyin.checkpoint.layout import FOLDERS
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
    from moyin.checkpoint.layout import unpacked

    count = sum(prod(e.shape) for e in unpacked(entries).values())
    size = sum(e.size for e in entries.values())
    kinds = Counter(e.dtype for e in entries.values())
    return f"{count / 1e6:10.2f} M parameters {size / 2**20:9.1f} MiB  {', '.join(kinds)}"


def _newest_state(path: Path) -> Path | None:
    """The state at `path`, or the newest of a training's folder."""
    if (path / RECORD).is_file():
        return path
    for folder in (path, path / "state"):
        states = sorted(p for p in folder.glob("step-*") if (p / RECORD).is_file())
        if states:
            return states[-1]
    return None


def _state(path: Path) -> Iterator[str]:
    from moyin.checkpoint.shards import hash_tensors, read_header, read_json

    record = read_json(path / RECORD)
    entries = read_header(path / WEIGHTS)
    yield f"training state {path}"
    for kind in ("weights", "average", "optimizer"):
        part = {n: e for n, e in entries.items() if n.startswith(f"{kind}.")}
        yield f"{kind:<12} {_size(part)}"
    yield from _lines({k: v for k, v in record.items() if k != "sha256"})
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
    yield from _lines(dataset.header)
    yield f"digest {dataset.digest()}"


def _lines(values: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """`a.b value` lines of nested objects."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _lines(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key} {value}"
