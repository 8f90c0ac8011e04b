"""LoRA files as PEFT and diffusers write them, applied to a network.

A folder with adapter_model.safetensors and adapter_config.json (PEFT), or one file with the
network's name before each tensor and the settings in its header (diffusers' load_lora_weights).
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from moyin.backend import Tensor, io, nn, ops
from moyin.checkpoint import shards
from moyin.checkpoint.key_mapping import Names, listing
from moyin.checkpoint.lazy_tensor import LazyLinear
from moyin.checkpoint.load import names_module
from moyin.models.lora import Adapted, Adapter

FILES = ("adapter_model.safetensors", "pytorch_lora_weights.safetensors")
# Prefixes of a layer's name: the pipeline's name of the network, behind PEFT's wrapper.
PREFIXES = {
    "decoder": ("transformer.",),
    "generator": ("vision_language_encoder.",),
}
WRAPPER = "base_model.model."
_KEY = re.compile(
    r"(?P<layer>.+)\.(?:(?P<down>lora_A|lora\.down|lora_down)|(?P<up>lora_B|lora\.up|lora_up))"
    r"(?:\.default)?\.weight"
)
_LINEAR = (nn.Linear, nn.PackedLinear, LazyLinear)
# PEFT also writes the weight of an adapted head; it is ignored, the checkpoint's is used.
_COPY = ".base_layer.weight"
SETTINGS = "lora_adapter_metadata"
TRAINED = "lora"  # the subfolder of a training run that holds its LoRA


@dataclass(frozen=True)
class Pair:
    """One layer's matrices, [rank, inputs] and [outputs, rank], and the scale of their product."""

    down: Tensor
    up: Tensor
    scale: float


@dataclass(frozen=True)
class Lora:
    """The pairs of one file, by network and by our name of the layer."""

    path: Path
    pairs: dict[str, dict[str, Pair]]

    @classmethod
    def open(cls, path: str | Path) -> Lora:
        """ValueError for what is no LoRA, or has layers that no network of ours has."""
        file = _file(Path(path))
        names = sorted(n for n in shards.read_header(file) if not n.endswith(_COPY))
        tensors, settings = io.load(file, names), _settings(file)
        parts_by_layer: dict[tuple[str, str], dict[str, Tensor]] = {}
        unknown = []
        for name, tensor in tensors.items():
            match = _KEY.fullmatch(name)
            layer = match["layer"] if match else name.removesuffix(".alpha")
            target = _target(layer)
            if target is None or not (match or name.endswith(".alpha")):
                unknown.append(name)
                continue
            part = "alpha" if match is None else "down" if match["down"] else "up"
            parts_by_layer.setdefault(target, {})[part] = tensor
        unknown += [
            f"half of {network} {layer}"
            for (network, layer), parts in parts_by_layer.items()
            if _incomplete(parts)
        ]
        if unknown or not parts_by_layer:
            raise ValueError(f"{file} is no LoRA for this model: {listing(unknown) or 'empty'}")
        pairs: dict[str, dict[str, Pair]] = {}
        for (network, layer), parts in parts_by_layer.items():
            scale = _scale(parts, settings, _theirs(network, layer))
            pairs.setdefault(network, {})[layer] = Pair(parts["down"], parts["up"], scale)
        return cls(file, pairs)

    @property
    def name(self) -> str:
        """The file's name; for the usual file names, that of the folder or training run."""
        if self.path.name not in FILES:
            return self.path.name
        folder = self.path.absolute().parent
        return folder.parent.name if folder.name == TRAINED else folder.name

    def digest(self) -> str:
        """sha256 over tensors and scales."""
        scales = [
            f"{network} {layer} {pair.scale!r}"
            for network, pairs in sorted(self.pairs.items())
            for layer, pair in sorted(pairs.items())
        ]
        tensors = shards.hash_tensors(shards.read_header(self.path))
        return hashlib.sha256("\n".join([tensors, *scales]).encode()).hexdigest()

    def check(self, network: str, module: Any) -> None:
        """ValueError where a matrix does not fit its layer; the module may have no weights."""
        wrong = []
        for name, pair in self.pairs.get(network, {}).items():
            layer = nn.submodule(module, name)
            base = _base(layer)
            if layer is None:
                wrong.append(f"{name} is not there")
            elif not isinstance(base, _LINEAR):
                wrong.append(f"{name} is no linear layer")
            elif not _fits(base, pair):
                shapes = f"{list(pair.up.shape)}·{list(pair.down.shape)}"
                wrong.append(f"{name} is {list(_sides(base))}, the LoRA's {shapes}")
        if wrong:
            raise ValueError(f"{self.path} is a LoRA for another {network}: {listing(wrong)}")

    def apply(self, network: str, module: Any, weight: float = 1.0, merge: bool = False) -> None:
        """Apply the pairs of this network, scaled by `weight`.

        merge: add them to the layers' weights; otherwise they are computed beside them.
        ValueError as `check` raises it, and for a merge into packed weights.
        """
        self.check(network, module)
        layers = {n: nn.submodule(module, n) for n in self.pairs.get(network, {})}
        if merge and not all(isinstance(_base(layer), nn.Linear) for layer in layers.values()):
            raise ValueError("a LoRA cannot be merged into packed weights: load it unmerged")
        for name, layer in layers.items():
            if merge:
                _merge(_base(layer), self.pairs[network][name], weight)
            else:
                _add(module, name, layer, self.pairs[network][name], weight)


def _fits(layer: Any, pair: Pair) -> bool:
    outputs, inputs = _sides(layer)
    rank = pair.down.shape[0]
    return tuple(pair.down.shape) == (rank, inputs) and tuple(pair.up.shape) == (outputs, rank)


def _base(layer: Any) -> Any:
    return layer.base if isinstance(layer, Adapted) else layer


def _sides(layer: Any) -> tuple[int, int]:
    """Outputs and inputs."""
    if isinstance(layer, nn.Linear):
        outputs, inputs = layer.weight.shape
        return outputs, inputs
    return layer.outputs, layer.inputs


def _merge(layer: Any, pair: Pair, weight: float) -> None:
    up, down = ops.cast(pair.up, ops.float32), ops.cast(pair.down, ops.float32)
    whole = ops.cast(layer.weight, ops.float32) + (weight * pair.scale) * ops.matmul(up, down)
    nn.set_parameter(layer.weight, ops.cast(whole, layer.weight.dtype))


def _add(module: Any, name: str, layer: Any, pair: Pair, weight: float) -> None:
    base = _base(layer)
    rank, inputs = pair.down.shape
    with nn.empty_weights():
        adapter = Adapter(inputs, rank, pair.up.shape[0], weight * pair.scale)
    kind = base.weight.dtype if isinstance(base, nn.Linear) else pair.down.dtype
    tensors = {"down.weight": ops.cast(pair.down, kind), "up.weight": ops.cast(pair.up, kind)}
    nn.assign(adapter, tensors)
    before: list[Any] = list(layer.adapters) if isinstance(layer, Adapted) else []
    nn.replace(module, name, Adapted(base, [*before, adapter]))


def _file(path: Path) -> Path:
    if path.is_file():
        return path
    files = [path / name for name in FILES if (path / name).is_file()]
    if not files:
        raise ValueError(
            f"no LoRA at {path}: give a .safetensors file, or a folder with {FILES[0]}"
        )
    return files[0]


def _settings(file: Path) -> dict[str, Any]:
    """PEFT's configuration, from adapter_config.json or the file's header; empty without either.

    ValueError for an alpha that is no number.
    """
    place = file.with_name("adapter_config.json")
    if place.is_file():
        config = shards.read_json(place)
    else:
        place, config = file, _metadata_settings(file)
    # diffusers puts the network's name before each setting.
    plain = {key.rpartition(".")[2]: value for key, value in config.items()}
    patterns = plain.get("alpha_pattern") or {}
    if not isinstance(patterns, dict):
        raise ValueError(f"{place}: alpha_pattern must be an object of numbers, not {patterns!r}")
    alphas = {f"alpha_pattern.{layer}": alpha for layer, alpha in patterns.items()}
    for field, alpha in {"lora_alpha": plain.get("lora_alpha"), **alphas}.items():
        if not (alpha is None or (isinstance(alpha, int | float) and math.isfinite(alpha))):
            raise ValueError(f"{place}: {field} must be a number, not {alpha!r}")
    return plain


def _metadata_settings(file: Path) -> dict[str, Any]:
    """The settings in the file's header."""
    try:
        return dict(json.loads(shards.read_metadata(file).get(SETTINGS, "{}")))
    except (TypeError, ValueError):
        raise ValueError(f"{file}: {SETTINGS} in its header is no JSON object") from None


def _target(layer: str) -> tuple[str, str] | None:
    """Network and our name of a released layer; None where no network has it."""
    layer = layer.removeprefix(WRAPPER)
    for network, prefixes in PREFIXES.items():
        for prefix in ("", *prefixes):
            ours = _names(network).ours(layer.removeprefix(prefix) + ".weight")
            if ours is not None:
                return network, ours.removesuffix(".weight")
    return None


@cache
def _names(network: str) -> Names:
    return Names(names_module(network).RULES)


def _theirs(network: str, layer: str) -> str:
    name = _names(network).theirs(layer + ".weight")
    assert name is not None
    return name.removesuffix(".weight")


def _incomplete(parts: dict[str, Tensor]) -> bool:
    return not {"down", "up"} <= parts.keys()


def _scale(parts: dict[str, Tensor], settings: dict[str, Any], layer: str) -> float:
    """alpha / rank, alpha / √rank for rsLoRA, 1 without an alpha."""
    rank = int(parts["down"].shape[0])
    if "alpha" in parts:
        return float(ops.numpy(parts["alpha"])) / rank
    patterns = settings.get("alpha_pattern") or {}
    fitting = [v for k, v in patterns.items() if re.fullmatch(rf"(.*\.)?({k})", layer)]
    alpha = fitting[0] if fitting else settings.get("lora_alpha")
    if alpha is None:
        return 1.0
    return float(alpha) / (math.sqrt(rank) if settings.get("use_rslora") else rank)
