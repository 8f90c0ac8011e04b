"""The five networks of a checkpoint, loaded when first used, kept or let go."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from typing import Any

from moyin.backend import device, nn
from moyin.checkpoint.folder import Checkpoint
from moyin.checkpoint.lora import Lora


class Networks:
    """`networks.generator` and so on; adapters are put onto generator and decoder.

    alone: one network is in memory at a time; asking for another lets it go, so nobody else may
    hold on to it. compiled: the decoder's blocks are. Raises ValueError for adapters of another
    model at once, not when their network's turn comes.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        adapters: Sequence[tuple[Lora, float]] = (),
        merged: bool = False,
        alone: bool = False,
        compiled: bool = False,
    ) -> None:
        self.checkpoint, self.adapters = checkpoint, tuple(adapters)
        self.merged, self.alone, self.compiled = merged, alone, compiled
        self._loaded: dict[str, Any] = {}
        if alone:
            device.spare_memory()
        for lora, _ in self.adapters:
            for name in lora.pairs:
                with nn.empty_weights():
                    lora.check(name, checkpoint.config(name).build())

    def get(self, name: str) -> Any:
        """One of the five. Raises ValueError as `Checkpoint.network` and `Lora.put` do."""
        if name not in self._loaded:
            if self.alone and self._loaded:
                self._loaded.clear()
                gc.collect()
                device.release_memory()
            network = self.checkpoint.network(name)
            for lora, weight in self.adapters:
                lora.put(name, network, weight, self.merged)
            if self.compiled and name == "decoder":
                nn.compile_blocks(network.blocks)
            self._loaded[name] = network
        return self._loaded[name]
