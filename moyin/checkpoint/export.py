"""Writing a checkpoint with packed generator and decoder, one shard at a time."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from moyin.backend import io, nn
from moyin.checkpoint import packed, shards
from moyin.checkpoint.folder import Checkpoint
from moyin.checkpoint.key_mapping import Names
from moyin.checkpoint.layout import FOLDERS, QUANTIZATION, packed_kind
from moyin.checkpoint.load import match_names, names_module
from moyin.checkpoint.save import save_groups, write_json, written_whole
from moyin.models.quantization import BITS, pack, packable

NETWORKS = ("generator", "decoder")
SHARD_BYTES = 2 * 10**9

Progress = Callable[[int, int], None]  # tensors done, of how many


def export(source: Checkpoint, folder: Path, kind: str, progress: Progress | None = None) -> Path:
    """Write `source` at `folder` with the weights of generator and decoder as `kind`, int8 or int4.

    All other files are copied. ValueError where the source is packed, lacks one of the two or has
    tensors that do not fit its config.json, and where `folder` exists.
    """
    if kind not in BITS:
        raise ValueError(f"quantization {kind}: it must be int8 or int4")
    if source.packed:
        raise ValueError(
            f"{source.folder} is {source.packed} already: give the checkpoint it was made from"
        )
    if folder.exists():
        raise ValueError(f"{folder} exists already: choose another folder")
    layers = {FOLDERS[name]: _layers(source, name) for name in NETWORKS}
    entries = {name: source.tensors(name) for name in layers}
    total, done = sum(len(e) for e in entries.values()), 0
    with written_whole(folder) as part:
        for path in sorted(source.folder.rglob("*")):
            inside = path.relative_to(source.folder)
            weights = inside.parts[0] in layers and ".safetensors" in path.name
            if path.is_file() and not weights:
                (part / inside).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, part / inside)
        for part_name, packed_names in layers.items():
            makers: dict[str, Callable[[], dict[str, Any]]] = {}
            sizes: dict[str, int] = {}
            for name, entry in entries[part_name].items():
                makers[name] = _maker(entry, name, kind if name in packed_names else None)
                sizes[name] = entry.size * BITS[kind] // 16 if name in packed_names else entry.size

            def read(names: list[str], makers: dict[str, Any] = makers) -> dict[str, Any]:
                nonlocal done
                tensors: dict[str, Any] = {}
                for name in names:
                    tensors |= makers[name]()
                    done += 1
                    if progress is not None:
                        progress(done, total)
                return tensors

            save_groups(part / part_name, sizes, read, SHARD_BYTES)
            config = shards.read_json(part / part_name / "config.json")
            section = {"quantization_config": QUANTIZATION[kind]}
            write_json(part / part_name / "config.json", config | section)
    assert packed_kind(shards.read_folder(folder / FOLDERS["decoder"])) == kind
    return folder


def _layers(source: Checkpoint, network: str) -> set[str]:
    """The released names of the weights that are packed."""
    with nn.empty_weights():
        module = source.config(network).build()
    folder = FOLDERS[network]
    match_names(network, module, source.folder / folder, source.tensors(folder))
    names = Names(names_module(network).RULES)
    released = {names.theirs(f"{layer}.weight") for layer in packable(module)}
    return {name for name in released if name is not None}


def _maker(entry: shards.Entry, name: str, kind: str | None) -> Callable[[], dict[str, Any]]:
    def make() -> dict[str, Any]:
        tensor = io.load(entry.file, [name])[name]
        if kind is None:
            return {name: tensor}
        return packed.tensors(pack(tensor, BITS[kind]), name.removesuffix(".weight"))

    return make
