"""A generator, before it writes: what a caption asks for, and where.

The state at the mark with which a picture begins must tell which rows and columns of ids the text
will take up, and the states of the caption, which characters are to be written (`plan`). Among
hundreds of ids a sequence says it once or twice, and a caption alone is a tenth as long.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from moyin.backend import Tensor
from moyin.prompt.grid import Grid
from moyin.prompt.sequence import Example, generation_sequence, right_padded
from moyin.prompt.tokenizer import TextTokenizer
from moyin.train.columns import semantic_columns
from moyin.train.objectives import plan
from moyin.train.objectives.base import Array, Batch, Draws, Source
from moyin.train.objectives.generator import GeneratorObjective, caption_of

LENGTHS = 16  # lengths of batches are multiples of it


class PlanningObjective(GeneratorObjective):
    """Cross-entropy of what is told of the plan."""

    @dataclass(frozen=True, kw_only=True)
    class Config(GeneratorObjective.Config):
        """The fields that `GeneratorObjective` reads captions and begins a network by."""

        plan: float = 1.0

        def build(self, source: Source, start: Any) -> PlanningObjective:
            semantic_columns(source, self.legend)
            tokenizer = self._tokenizer(source)
            return PlanningObjective(self, source, start or self._fresh(tokenizer), tokenizer)

    def trained(self, name: str) -> bool:
        """All but what writes ids."""
        return not name.startswith("network.head.")

    def batch(self, indices: Array, draws: Draws) -> Batch:
        preview = draws.together("preview").random() < self.config.preview
        rows = self.store.read(["meta", "ids"], indices)
        captions = [caption_of(row, number, draws) for number, row in enumerate(rows)]
        prefixes = [
            prefix(self.tokenizer, caption, Grid(*row["ids"].shape), preview)
            for caption, row in zip(captions, rows, strict=True)
        ]
        ids, positions, _ = right_padded(prefixes, self.tokenizer.vocabulary.pad, LENGTHS)
        marks = [p.start - 1 for p in prefixes]
        return {
            "ids": ids,
            "positions": positions,
            **plan.of(self.tokenizer, captions, rows, marks),
        }

    def weight(self, batch: Batch) -> float:
        return float(len(batch["ids"]))

    def loss(self, batch: dict[str, Tensor], dtype: Any) -> tuple[Tensor, dict[str, Tensor]]:
        states = self.network.states(batch["ids"], batch["positions"], dtype=dtype)
        missed, right = self.plan(states, batch)
        return missed, {"planned": right}


def prefix(tokenizer: TextTokenizer, caption: str, grid: Grid, preview: bool) -> Example:
    """What is read before the first id, to be padded like any example; it has no targets."""
    read = generation_sequence(tokenizer, caption, grid, preview)
    nothing = np.zeros(len(read.ids), np.float32)
    return Example(read.ids, read.positions, nothing, len(read.ids))
