"""Writing a checkpoint folder that diffusers and transformers open."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moyin.backend import io, nn, ops
from moyin.checkpoint import layout
from moyin.checkpoint.key_mapping import Names
from moyin.checkpoint.load import names_module
from moyin.checkpoint.names import scheduler
from moyin.checkpoint.processor import save_processor
from moyin.checkpoint.shards import read_header
from moyin.flow.schedule import Schedule
from moyin.prompt.vocabulary import RESERVED

if TYPE_CHECKING:
    from moyin.checkpoint.folder import Checkpoint

SHARD_BYTES = 5 * 10**9
WIDTHS = {"float32": 4, "bfloat16": 2}


def save_checkpoint(
    folder: str | Path,
    networks: Mapping[str, Any],
    *,
    tokenizer: Any = None,
    base: Checkpoint | None = None,
    dtype: str = "bfloat16",
    notes: Mapping[str, Any] | None = None,
    shard_bytes: int = SHARD_BYTES,
) -> Path:
    """Write `networks` (autoencoder, glyph, semantic, generator, decoder: any of them) at `folder`.

    base: gives the networks, tokenizer and notes that are not passed. tokenizer: a TextTokenizer.
    notes: native size, preferred settings, provenance (moyin.json), over those of the base.
    The folder is written beside its place and renamed, so it is whole or not there at all; one
    that is there already is replaced. Raises OSError where the disk is full.
    """
    unknown = set(networks) - set(layout.FOLDERS)
    assert not unknown, f"unknown networks {unknown}"
    with written_whole(Path(folder)) as part:
        for name in layout.WEIGHT_FOLDERS:
            _write_networks(part / name, _members(name, networks, base), dtype, shard_bytes)
        _write_processor(part / "processor", tokenizer, base)
        for file, content in layout.byte_tokenizer().items():
            write_json(part / "tokenizer" / file, content)
        schedule = base.schedule() if base else Schedule()
        write_json(
            part / scheduler.FOLDER / "scheduler_config.json",
            {**scheduler.to_config(schedule), **layout.VERSION},
        )
        write_json(part / layout.NOTES, {**(base.notes if base else {}), **(notes or {})})
        write_json(part / layout.MODEL_INDEX, layout.model_index())
    return Path(folder)


def _members(folder: str, given: Mapping[str, Any], base: Checkpoint | None) -> dict[str, Any]:
    """The networks of one weight folder, the passed ones before those of the base."""
    members = {}
    for network, place in layout.FOLDERS.items():
        if place != folder:
            continue
        if network in given:
            members[network] = given[network]
        elif base is not None and base.has(network):
            members[network] = base.whole(network)
    return members


def _write_networks(folder: Path, members: dict[str, Any], dtype: str, shard_bytes: int) -> None:
    """config.json and the shards of the networks that share a folder."""
    if not members:
        return
    tensors: dict[str, Any] = {}
    config: dict[str, Any] = {}
    for network, module in members.items():
        names = names_module(network)
        rename = Names(names.RULES)
        config |= names.to_config(module.config)
        for ours, parameter in nn.named_parameters(module).items():
            theirs = rename.theirs(ours)
            assert theirs is not None, f"{network}: no template for {ours}"
            tensors[theirs] = parameter
    if folder.name in layout.STEMS:
        config |= layout.VERSION
    else:
        config |= {"architectures": [names.CLASS], "dtype": dtype}
    write_json(folder / "config.json", config)
    if "generator" in members:
        ours = members["generator"].config
        marks = layout.generation_config(ours.vision_vocab - RESERVED, ours.pad_id)
        write_json(folder / "generation_config.json", marks)
    write_shards(folder, tensors, dtype, shard_bytes)


def write_shards(folder: Path, tensors: Mapping[str, Any], dtype: str, shard_bytes: int) -> None:
    """Safetensors of one dtype; see `save_groups`."""

    def some(names: list[str]) -> dict[str, Any]:
        return {n: ops.cast(tensors[n], getattr(ops, dtype)) for n in names}

    sizes = {n: _count(t) * WIDTHS[dtype] for n, t in tensors.items()}
    save_groups(folder, sizes, some, shard_bytes)


def save_groups(
    folder: Path,
    sizes: Mapping[str, int],
    tensors: Callable[[list[str]], Mapping[str, Any]],
    shard_bytes: int,
) -> None:
    """Safetensors under the library's own file names; an index where one file is not enough.

    sizes: of every tensor in bytes. tensors: gives those of these names when their shard's turn
    comes, under the names they are to have, so that one shard at a time is in memory.
    """
    stem = layout.STEMS.get(folder.name, layout.DEFAULT_STEM)
    groups = _groups(sizes, shard_bytes)
    folder.mkdir(parents=True, exist_ok=True)
    places: dict[str, str] = {}
    total = 0
    for i, group in enumerate(groups, 1):
        name = f"{stem}.safetensors"
        if len(groups) > 1:
            name = f"{stem}-{i:05d}-of-{len(groups):05d}.safetensors"
        part = tensors(group)
        io.save(folder / name, part, {"format": "pt"})
        _fsync(folder / name)
        places |= dict.fromkeys(part, name)
        total += sum(e.size for e in read_header(folder / name).values())
    if len(groups) > 1:
        index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(places.items()))}
        write_json(folder / f"{stem}.safetensors.index.json", index)


def _count(tensor: Any) -> int:
    count = 1
    for side in tensor.shape:
        count *= int(side)
    return count


def _groups(sizes: Mapping[str, int], limit: int) -> list[list[str]]:
    """Names in order, cut where a shard would pass `limit` bytes."""
    groups: list[list[str]] = [[]]
    used = 0
    for name, size in sizes.items():
        if groups[-1] and used + size > limit:
            groups.append([])
            used = 0
        groups[-1].append(name)
        used += size
    return groups


def _write_processor(folder: Path, tokenizer: Any, base: Checkpoint | None) -> None:
    if tokenizer is not None:
        save_processor(folder, tokenizer)
    elif base is not None and (base.folder / "processor").is_dir():
        shutil.copytree(base.folder / "processor", folder)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True) + "\n", "utf-8")
    _fsync(path)


def _fsync(path: Path) -> None:
    with path.open("rb") as f:
        os.fsync(f.fileno())


@contextmanager
def written_whole(folder: Path) -> Iterator[Path]:
    """A folder beside `folder` that takes its place when all went well, and else disappears."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    old = folder.with_name(f".{folder.name}.{os.getpid()}.old")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    try:
        yield part
        if folder.exists():
            folder.rename(old)
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
