"""Writing a LoRA that PEFT, diffusers and `checkpoint.lora` open."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from moyin.backend import io
from moyin.checkpoint.key_mapping import Names
from moyin.checkpoint.load import names_module
from moyin.checkpoint.lora import FILES, PREFIXES, SETTINGS, WRAPPER
from moyin.checkpoint.save import write_json, written_whole
from moyin.models.lora import Adapter


def save_lora(
    folder: str | Path, network: str, adapters: Mapping[str, Adapter], rank: int, alpha: float
) -> Path:
    """Write the adapters of one network, by our names of their layers, at `folder`.

    The decoder's as diffusers has them, one file whose header holds the settings; the generator's
    as PEFT has them, with adapter_config.json beside. What was there is replaced as a whole.
    """
    rename = Names(names_module(network).RULES)
    layers = {_layer(rename, ours): adapter for ours, adapter in adapters.items()}
    settings = {
        "peft_type": "LORA",
        "r": rank,
        "lora_alpha": alpha,
        "target_modules": sorted(layers),
        "bias": "none",
        "inference_mode": True,
    }
    of_diffusers = network == "decoder"
    prefix = PREFIXES[network][0] if of_diffusers else WRAPPER
    tensors = {}
    for layer, adapter in layers.items():
        tensors[f"{prefix}{layer}.lora_A.weight"] = adapter.down.weight
        tensors[f"{prefix}{layer}.lora_B.weight"] = adapter.up.weight
    with written_whole(Path(folder)) as part:
        if of_diffusers:
            told = json.dumps({prefix + key: value for key, value in settings.items()})
            io.save(part / FILES[1], tensors, {"format": "pt", SETTINGS: told})
        else:
            io.save(part / FILES[0], tensors, {"format": "pt"})
            write_json(part / "adapter_config.json", settings)
    return Path(folder)


def _layer(rename: Names, ours: str) -> str:
    name: Any = rename.theirs(ours + ".weight")
    assert name is not None, f"no template for {ours}"
    return str(name).removesuffix(".weight")
