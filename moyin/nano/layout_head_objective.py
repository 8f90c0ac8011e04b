"""The first stage of nano's generator: the layout head's loss alone.

Loss: the mean over captions of `LayoutHead.losses`.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from moyin.backend import Tensor, ops
from moyin.models.generator import Generator
from moyin.nano.config import LayoutHeadConfig, LayoutHeadObjectiveConfig
from moyin.nano.layout_facts import prefixes
from moyin.prompt.tokenizer import TextTokenizer
from moyin.train.objectives.base import Array, Batch, SampleRng, Source
from moyin.train.objectives.generator import GeneratorObjective, caption_of


class LayoutHeadObjective(GeneratorObjective):
    """Batches: arrays of `layout_facts.prefixes`, one caption per image."""

    Config: TypeAlias = LayoutHeadObjectiveConfig

    def __init__(
        self,
        config: LayoutHeadObjectiveConfig,
        source: Source,
        network: Generator,
        tokenizer: TextTokenizer,
    ) -> None:
        super().__init__(config, source, network, tokenizer)
        self.layout_head = LayoutHeadConfig(weight=1.0).build(self)

    def trained(self, name: str) -> bool:
        """All but what the layout head does not read: later layers and the network's head."""
        layers = self.network.config.layers
        above = [f"network.layers.{i}." for i in range(self.layout_head.late, layers)]
        unread = ("network.norm.", "network.head.", *above)
        return super().trained(name) and not name.startswith(unread)

    def batch(self, indices: Array, sample_rng: SampleRng) -> Batch:
        preview = sample_rng.together("preview").random() < self.config.preview_probability
        edited = sample_rng.together("edits").random() < self.config.edit_probability
        rows = self.dataset.read(["meta", "tokens"], indices)
        edits = [row["meta"].get("edit") if edited else None for row in rows]
        captions = [
            caption_of(edit or row["meta"], number, sample_rng)
            for number, (edit, row) in enumerate(zip(edits, rows, strict=True))
        ]
        references = [
            self.reference(int(index) + edit["of"]) if edit else None
            for index, edit in zip(indices, edits, strict=True)
        ]
        return prefixes(self.tokenizer, captions, rows, preview, references)

    def weight(self, batch: Batch) -> float:
        return float(len(batch["prefix_tokens"]))

    def loss(self, batch: dict[str, Tensor], dtype: Any) -> tuple[Tensor, dict[str, Tensor]]:
        losses, shown = self.layout_head.losses(self.network, batch, dtype)
        return ops.mean(losses), shown
