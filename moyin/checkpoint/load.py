"""Weights of one network: checked by name and shape, then read shard by shard."""

from __future__ import annotations

import importlib
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moyin.backend import io, nn, ops
from moyin.checkpoint import packed
from moyin.checkpoint.key_mapping import Names, listing
from moyin.checkpoint.layout import FOLDERS, packed_kind, unpacked, without_ties
from moyin.checkpoint.lazy_tensor import StoredEmbedding, StoredLinear
from moyin.checkpoint.shards import Entry
from moyin.models.quantization import BITS, pack, packable


def names_module(network: str) -> Any:
    """`moyin.checkpoint.names.<network>`."""
    return importlib.import_module(f"moyin.checkpoint.names.{network}")


@dataclass(frozen=True, kw_only=True)
class Loading:
    """How weights are held.

    dtype: float32 or bfloat16, None for the stored one. Of generator and decoder besides: weights,
    int8 or int4, packs the linear layers (`model.quantize`); stored leaves on disk what is read a
    few rows at a time (the embeddings) or once an image (the decoder's modulations).
    """

    dtype: str | None = None
    weights: str | None = None
    stored: bool = False

    def __post_init__(self) -> None:
        if self.dtype not in (None, "float32", "bfloat16"):
            raise ValueError(f"dtype {self.dtype}: it must be float32 or bfloat16")
        if self.weights not in (None, *BITS):
            raise ValueError(f"weights {self.weights}: it must be int8 or int4")


def load_weights(
    network: str, config: Any, folder: Path, entries: dict[str, Entry], how: Loading
) -> Any:
    """Build the network and fill it with the tensors of its folder.

    Raises ValueError as `matched` does. One shard at a time is held beside the network; where
    weights are packed, one tensor.
    """
    with nn.empty_weights():
        module = config.build()
    return _Filling(network, module, folder, entries, how).run()


class _Filling:
    """One network on its way from disk."""

    def __init__(
        self, network: str, module: Any, folder: Path, entries: dict[str, Entry], how: Loading
    ) -> None:
        self.network, self.module, self.folder, self.how = network, module, folder, how
        self.names = Names(names_module(network).RULES)
        self.entries = without_ties(entries, FOLDERS[network])
        self.plain = unpacked(self.entries)
        self.found = packed_kind(self.entries)
        if how.weights and self.found not in (None, how.weights):
            raise ValueError(
                f"the weights of this checkpoint's {network} are {self.found} already: "
                f"they cannot become {how.weights}"
            )

    def run(self) -> Any:
        module = self.module
        wanted = matched(self.network, module, self.folder, self.plain)
        special = self._special()
        taken = set()
        for layer in special:
            taken |= {f"{layer}.weight", f"{layer}.bias"}
        by_file: dict[Path, list[str]] = defaultdict(list)
        for theirs, ours in wanted.items():
            if ours not in taken:
                by_file[self.plain[theirs].file].append(theirs)
        for file, some in sorted(by_file.items()):
            tensors = io.load(file, some)
            nn.assign(module, {wanted[n]: self._cast(t) for n, t in tensors.items()})
        for layer, make in special.items():
            nn.replace(module, layer, make(_released(self.names, layer + ".weight", self.network)))
        return module

    def _special(self) -> dict[str, Callable[[str], Any]]:
        """The layers that are not simply filled, and what makes them of their released name."""
        if self.network not in ("generator", "decoder"):
            return {}
        made: dict[str, Callable[[str], Any]] = {}
        if self.how.weights or self.found:
            made |= dict.fromkeys(packable(self.module), self._packed)
        if self.how.stored:
            made |= dict.fromkeys(named_like(self.module, nn.Embedding), self._embedding)
            modulations = named_like(self.module, nn.Linear, "modulation")
            made |= dict.fromkeys(modulations, self._linear)
        return made

    def _packed(self, weight: str) -> Any:
        layer = weight.removesuffix(".weight")
        if self.found:
            integers = packed.read(self.entries, layer, self.found)
        else:
            assert self.how.weights is not None
            integers = pack(self._read(weight), BITS[self.how.weights])
        bias = f"{layer}.bias"
        return integers.layer(self._cast(self._read(bias)) if bias in self.entries else None)

    def _embedding(self, weight: str) -> Any:
        return StoredEmbedding(self.entries[weight])

    def _linear(self, weight: str) -> Any:
        bias = weight.removesuffix("weight") + "bias"
        return StoredLinear(self.entries[weight], self.entries[bias], (weight, bias))

    def _read(self, name: str) -> Any:
        return io.load(self.entries[name].file, [name])[name]

    def _cast(self, tensor: Any) -> Any:
        return tensor if self.how.dtype is None else ops.cast(tensor, getattr(ops, self.how.dtype))


def named_like(module: Any, kind: type[Any], leaf: str = "") -> list[str]:
    """The layers of a kind, by name; only those called `leaf` where that is given."""
    layers = [n.rpartition(".")[0] for n in nn.named_parameters(module) if n.endswith(".weight")]
    return [
        n
        for n in layers
        if isinstance(nn.submodule(module, n), kind) and leaf in ("", n.rpartition(".")[2])
    ]


def _released(names: Names, ours: str, network: str) -> str:
    theirs = names.theirs(ours)
    assert theirs is not None, f"{network}: no template for {ours}"
    return theirs


def matched(network: str, module: Any, folder: Path, entries: dict[str, Entry]) -> dict[str, str]:
    """The module's parameters by their released names, all of which the folder's entries hold.

    Raises ValueError that names every missing, unexpected and wrongly shaped tensor (ten at most
    of each). The module may be one without weights, the entries are unpacked (`layout.unpacked`).
    """
    shapes = {n: tuple(p.shape) for n, p in nn.named_parameters(module).items()}
    names = Names(names_module(network).RULES)
    wanted = {_released(names, n, network): n for n in shapes}
    others = [
        Names(names_module(n).RULES)
        for n, f in FOLDERS.items()
        if f == folder.name and n != network
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
        raise ValueError(
            f"{folder} does not hold the {network} its config.json describes ({told}): "
            "fetch the checkpoint again"
        )
    return wanted
