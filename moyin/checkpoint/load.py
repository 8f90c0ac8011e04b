"""Loading one network's weights: names and shapes are checked, then shards are read in turn."""

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
from moyin.checkpoint.lazy_tensor import LazyEmbedding, LazyLinear
from moyin.checkpoint.shards import Entry
from moyin.models.quantization import BITS, pack, packable


def names_module(network: str) -> Any:
    """`moyin.checkpoint.names.<network>`."""
    return importlib.import_module(f"moyin.checkpoint.names.{network}")


@dataclass(frozen=True, kw_only=True)
class Loading:
    """How weights are held in memory.

    dtype: float32 or bfloat16, None for the stored one. For generator and decoder: quantization,
    int8 or int4, packs the linear layers (`models.quantization`); lazy leaves on disk what is read
    a few rows at a time (the embeddings) or once an image (the decoder's modulations).
    """

    dtype: str | None = None
    quantization: str | None = None
    lazy: bool = False

    def __post_init__(self) -> None:
        if self.dtype not in (None, "float32", "bfloat16"):
            raise ValueError(f"dtype {self.dtype}: it must be float32 or bfloat16")
        if self.quantization not in (None, *BITS):
            raise ValueError(f"quantization {self.quantization}: it must be int8 or int4")


def load_weights(
    network: str, config: Any, folder: Path, entries: dict[str, Entry], how: Loading
) -> Any:
    """Build the network and fill it with the tensors of its folder.

    Raises ValueError as `match_names` does. One shard at a time is held beside the network; where
    weights are packed, one tensor.
    """
    with nn.empty_weights():
        module = config.build()
    return _WeightLoader(network, module, folder, entries, how).run()


class _WeightLoader:
    """Fills one network from its shards."""

    def __init__(
        self, network: str, module: Any, folder: Path, entries: dict[str, Entry], how: Loading
    ) -> None:
        self.network, self.module, self.folder, self.how = network, module, folder, how
        self.names = Names(names_module(network).RULES)
        self.entries = without_ties(entries, FOLDERS[network])
        self.plain = unpacked(self.entries)
        self.stored_as = packed_kind(self.entries)
        if how.quantization and self.stored_as not in (None, how.quantization):
            raise ValueError(
                f"the weights of this checkpoint's {network} are {self.stored_as} already: "
                f"they cannot become {how.quantization}"
            )

    def run(self) -> Any:
        module = self.module
        ours_by_theirs = match_names(self.network, module, self.folder, self.plain)
        replaced = self._replaced_layers()
        skipped = set()
        for layer in replaced:
            skipped |= {f"{layer}.weight", f"{layer}.bias"}
        by_file: dict[Path, list[str]] = defaultdict(list)
        for theirs, ours in ours_by_theirs.items():
            if ours not in skipped:
                by_file[self.plain[theirs].file].append(theirs)
        for file, names in sorted(by_file.items()):
            tensors = io.load(file, names)
            nn.assign(module, {ours_by_theirs[n]: self._cast(t) for n, t in tensors.items()})
        for layer, make in replaced.items():
            nn.replace(module, layer, make(_released(self.names, layer + ".weight", self.network)))
        return module

    def _replaced_layers(self) -> dict[str, Callable[[str], Any]]:
        """Layers that are replaced by packed or lazy ones: name → maker, from the released name."""
        if self.network not in ("generator", "decoder"):
            return {}
        makers: dict[str, Callable[[str], Any]] = {}
        if self.how.quantization or self.stored_as:
            makers |= dict.fromkeys(packable(self.module), self._packed)
        if self.how.lazy:
            makers |= dict.fromkeys(named_like(self.module, nn.Embedding), self._embedding)
            modulations = named_like(self.module, nn.Linear, "modulation")
            makers |= dict.fromkeys(modulations, self._linear)
        return makers

    def _packed(self, weight: str) -> Any:
        layer = weight.removesuffix(".weight")
        if self.stored_as:
            integers = packed.read(self.entries, layer, self.stored_as)
        else:
            assert self.how.quantization is not None
            integers = pack(self._read(weight), BITS[self.how.quantization])
        bias = f"{layer}.bias"
        return integers.layer(self._cast(self._read(bias)) if bias in self.entries else None)

    def _embedding(self, weight: str) -> Any:
        return LazyEmbedding(self.entries[weight])

    def _linear(self, weight: str) -> Any:
        bias = weight.removesuffix("weight") + "bias"
        return LazyLinear(self.entries[weight], self.entries[bias], (weight, bias))

    def _read(self, name: str) -> Any:
        return io.load(self.entries[name].file, [name])[name]

    def _cast(self, tensor: Any) -> Any:
        return tensor if self.how.dtype is None else ops.cast(tensor, getattr(ops, self.how.dtype))


def named_like(module: Any, kind: type[Any], leaf: str = "") -> list[str]:
    """The names of the layers of a kind; only those called `leaf` where it is given."""
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


def match_names(
    network: str, module: Any, folder: Path, entries: dict[str, Entry]
) -> dict[str, str]:
    """Released name → our name of each of the module's parameters, all of which `entries` hold.

    Raises ValueError that names the missing, unexpected and wrongly shaped tensors (ten at most
    of each). The module may have no weights; the entries are unpacked (`layout.unpacked`).
    """
    shapes = {n: tuple(p.shape) for n, p in nn.named_parameters(module).items()}
    names = Names(names_module(network).RULES)
    released = {_released(names, n, network): n for n in shapes}
    others = [
        Names(names_module(n).RULES)
        for n, f in FOLDERS.items()
        if f == folder.name and n != network
    ]
    foreign = {n for n in entries if any(o.ours(n) is not None for o in others)}
    missing = [n for n in released if n not in entries]
    unexpected = [n for n in entries if n not in released and n not in foreign]
    wrong = [
        f"{n} {list(entries[n].shape)} for {list(shapes[ours])}"
        for n, ours in released.items()
        if n in entries and entries[n].shape != shapes[ours]
    ]
    faults = [("missing", missing), ("unexpected", unexpected), ("wrong shape", wrong)]
    details = "; ".join(f"{fault}: {listing(which)}" for fault, which in faults if which)
    if details:
        raise ValueError(
            f"{folder} does not hold the {network} its config.json describes ({details}): "
            "fetch the checkpoint again"
        )
    return released
