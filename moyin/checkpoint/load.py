"""Weights of one network: checked by name and shape, then read shard by shard."""

from __future__ import annotations

import importlib
from collections import defaultdict
from pathlib import Path
from typing import Any

from moyin.backend import io, nn, ops
from moyin.checkpoint.layout import FOLDERS, without_ties
from moyin.checkpoint.rename import Names, listing
from moyin.checkpoint.shards import Entry


def names_module(network: str) -> Any:
    """`moyin.checkpoint.names.<network>`."""
    return importlib.import_module(f"moyin.checkpoint.names.{network}")


def load_weights(network: str, config: Any, entries: dict[str, Entry], dtype: str | None) -> Any:
    """Build the network and fill it. dtype: that of the weights, None to keep the stored one.

    Raises ValueError that names every missing, unexpected and wrongly shaped tensor (ten at most
    of each). One shard at a time is held beside the network.
    """
    names = Names(names_module(network).RULES)
    with nn.empty_weights():
        module = config.build()
    shapes = {n: tuple(p.shape) for n, p in nn.named_parameters(module).items()}
    wanted = {_released(names, n, network): n for n in shapes}
    entries = without_ties(entries, FOLDERS[network])
    _check(network, wanted, shapes, entries)
    by_file: dict[Path, list[str]] = defaultdict(list)
    for theirs in wanted:
        by_file[entries[theirs].file].append(theirs)
    for file, theirs_of_file in sorted(by_file.items()):
        tensors = io.load(file, theirs_of_file)
        if dtype is not None:
            tensors = {n: ops.cast(t, getattr(ops, dtype)) for n, t in tensors.items()}
        nn.assign(module, {wanted[n]: t for n, t in tensors.items()})
    return module


def _released(names: Names, ours: str, network: str) -> str:
    theirs = names.theirs(ours)
    assert theirs is not None, f"{network}: no template for {ours}"
    return theirs


def _check(
    network: str,
    wanted: dict[str, str],
    shapes: dict[str, tuple[int, ...]],
    entries: dict[str, Entry],
) -> None:
    """Compare what the network needs with what the folder holds."""
    folder = FOLDERS[network]
    others = [
        Names(names_module(n).RULES) for n, f in FOLDERS.items() if f == folder and n != network
    ]
    foreign = {n for n in entries if any(o.ours(n) is not None for o in others)}
    missing = [n for n in wanted if n not in entries]
    unexpected = [n for n in entries if n not in wanted and n not in foreign]
    wrong = [
        f"{n} {list(entries[n].shape)} for {list(shapes[ours])}"
        for n, ours in wanted.items()
        if n in entries and entries[n].shape != shapes[ours]
    ]
    faults = [("missing", missing), ("unexpected", unexpected), ("wrong shape", wrong)]
    told = "; ".join(f"{what}: {listing(which)}" for what, which in faults if which)
    if told:
        raise ValueError(f"{folder}/ does not hold the {network} its config.json describes: {told}")
