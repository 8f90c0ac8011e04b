"""The five networks of a checkpoint, loaded when first used, kept or let go."""

from __future__ import annotations

import gc
from typing import Any

from moyin.backend import device, nn
from moyin.checkpoint.folder import Checkpoint
from moyin.checkpoint.lora import Lora


class Networks:
    """Loads networks by name and applies LoRAs to them.

    offload: one network is in memory at a time; asking for another frees it, so nobody else may
    hold a reference to it. compile: compile the decoder's blocks.
    """

    def __init__(
        self, checkpoint: Checkpoint, offload: bool = False, compile: bool = False
    ) -> None:
        self.checkpoint, self.offload, self.compile = checkpoint, offload, compile
        self.loras: list[tuple[Lora, float, bool]] = []
        self._loaded: dict[str, Any] = {}
        if offload:
            device.spare_memory()

    def add_lora(self, lora: Lora, weight: float, merge: bool) -> None:
        """Apply a LoRA to the networks that are loaded and to those that will be.

        ValueError where it was made for another model, before anything is changed.
        """
        for name in lora.pairs:
            with nn.empty_weights():
                lora.check(name, self.checkpoint.config(name).build())
        for name in lora.pairs.keys() & self._loaded.keys():
            lora.apply(name, self._loaded[name], weight, merge)
        self.loras.append((lora, weight, merge))

    def remove_loras(self) -> None:
        """The networks that had LoRAs are read anew when they are next used."""
        for lora, _, _ in self.loras:
            for name in lora.pairs:
                self._loaded.pop(name, None)
        self.loras.clear()

    def get(self, name: str) -> Any:
        """One of the five. ValueError as `Checkpoint.network` and `Lora.apply` raise it."""
        if name not in self._loaded:
            if self.offload and self._loaded:
                self._loaded.clear()
                gc.collect()
                device.release_memory()
            network = self.checkpoint.network(name)
            for lora, weight, merge in self.loras:
                lora.apply(name, network, weight, merge)
            if self.compile and name == "decoder":
                nn.compile_blocks(network.blocks)
            self._loaded[name] = network
        return self._loaded[name]
