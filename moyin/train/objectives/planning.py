"""A generator, before it writes: what a caption asks for, and where.

The state at the mark with which an image begins must tell which rows and columns of ids the text
will take up and the colours, and the states of the caption, which characters are to be written
(`plan`). Among hundreds of ids a sequence says each once or twice; a caption is a tenth as long.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from moyin.backend import Tensor, ops
from moyin.train.columns import check_edits, semantic_columns
from moyin.train.objectives import plan
from moyin.train.objectives.base import Array, Batch, SampleRng, Source
from moyin.train.objectives.generator import GeneratorObjective, caption_of


class PlanningObjective(GeneratorObjective):
    """Cross-entropy of what is told of the plan."""

    @dataclass(frozen=True, kw_only=True)
    class Config(GeneratorObjective.Config):
        """The fields that `GeneratorObjective` reads captions and begins a network by."""

        plan: float = 1.0

        def build(self, source: Source, start: Any) -> PlanningObjective:
            semantic_columns(source, self.legend)
            if self.edits:
                check_edits(source)
            tokenizer = self._tokenizer(source)
            return PlanningObjective(self, source, start or self._fresh(tokenizer), tokenizer)

    def trained(self, name: str) -> bool:
        """All but what only writes ids: the layers after those of the plan, and the head."""
        layers = self.network.config.layers
        above = [f"network.layers.{i}." for i in range(self.plan.late, layers)]
        unread = ("network.norm.", "network.head.", *above)
        return super().trained(name) and not name.startswith(unread)

    def batch(self, indices: Array, sample_rng: SampleRng) -> Batch:
        preview = sample_rng.together("preview").random() < self.config.preview
        edited = sample_rng.together("edits").random() < self.config.edits
        rows = self.dataset.read(["meta", "tokens"], indices)
        edits = [row["meta"].get("edit") if edited else None for row in rows]
        captions = [
            caption_of(edit or row["meta"], number, sample_rng)
            for number, (edit, row) in enumerate(zip(edits, rows, strict=True))
        ]
        references = [
            self._reference(int(index) + edit["of"]) if edit else None
            for index, edit in zip(indices, edits, strict=True)
        ]
        return plan.prefixes(self.tokenizer, captions, rows, preview, references)

    def weight(self, batch: Batch) -> float:
        return float(len(batch["plan_ids"]))

    def loss(self, batch: dict[str, Tensor], dtype: Any) -> tuple[Tensor, dict[str, Tensor]]:
        missed, shown = self.plan(self.network, batch, dtype)
        return ops.mean(missed), shown
