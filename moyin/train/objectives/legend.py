"""The semantic tokenizer, taught what each of its ids says.

Every 32 × 32 pixels of a rendered picture have an id of a legend (`data.legend`). The network
learns which by cross-entropy over its own codebook: what is nearest, by cosine, is the likeliest.
So codes are never idle, and the network is one that names them from pixels alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from moyin.backend import Tensor, nn, ops
from moyin.data.legend import Legend
from moyin.model.semantic import SemanticTokenizer, unit
from moyin.pipeline.tokenize import preprocess
from moyin.train.columns import semantic_columns
from moyin.train.objectives.base import Array, Batch, Draws, Objective, Source

SHARPNESS = 24.0  # logits of a cosine of 1


class LegendObjective(Objective):
    """Cross-entropy of the legend's ids."""

    stage: ClassVar[str] = "semantic"

    @dataclass(frozen=True, kw_only=True)
    class Config(Objective.Config):
        """on_text: weight of ids with text, those of the ground having 1."""

        stage: ClassVar[str] = "semantic"
        network: SemanticTokenizer.Config = field(default_factory=SemanticTokenizer.Config)
        legend: Legend = field(default_factory=Legend)
        on_text: float = 4.0

        def build(self, source: Source, start: Any) -> LegendObjective:
            semantic_columns(source, self.legend)
            if start is None:
                start = self.network.build()
                codes, width = start.config.codes, start.config.code_width
                rows = self.legend.rows(codes, width, 1.0)
                nn.set_parameter(start.codebook.weight, ops.asarray(rows))
            return LegendObjective(self, source, start)

    def __init__(self, config: Config, source: Source, network: SemanticTokenizer) -> None:
        super().__init__()
        self.config, self.network, self.store = config, network, source.pictures

    @property
    def count(self) -> int:
        return len(self.store)

    def batch(self, indices: Array, draws: Draws) -> Batch:
        rows = self.store.read(["picture", "ids"], indices)
        return {
            "pixels": np.stack([preprocess(row["picture"]) for row in rows]),
            "ids": np.stack([row["ids"] for row in rows]).astype(np.int64),
        }

    def weight(self, batch: Batch) -> float:
        text = batch["ids"] < self.config.legend.grounds
        return float(text.size + (self.config.on_text - 1) * text.sum())

    def loss(self, batch: dict[str, Tensor], dtype: Any) -> tuple[Tensor, dict[str, Tensor]]:
        network = self.network
        z = network.project(network.features(ops.cast(batch["pixels"], dtype)))
        codes = unit(ops.cast(network.codebook.weight, ops.float32))
        cosines = ops.matmul(z, ops.transpose(codes, 0, 1))
        b, h, w, count = cosines.shape
        ids = ops.reshape(batch["ids"], (b * h * w,))
        flat = ops.reshape(cosines, (b * h * w, count))
        text = ops.cast(ids < self.config.legend.grounds, ops.float32)
        weights = 1 + (self.config.on_text - 1) * text
        entropy = ops.cross_entropy(SHARPNESS * flat, ids)
        right = ops.cast(ops.argmax(flat, -1) == ids, ops.float32)
        shown = {"text_right": ops.sum(right * text) / (ops.sum(text) + 1e-6)}
        loss = ops.sum(entropy * weights) / ops.sum(weights)
        return loss, {n: ops.stop_gradient(x) for n, x in shown.items()}
