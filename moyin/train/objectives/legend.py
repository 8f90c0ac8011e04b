"""The semantic tokenizer, taught what each of its ids says.

Every 32 × 32 pixels of a rendered image have an id of a legend (`data.legend`). The network
learns which by cross-entropy over its own codebook: what is nearest, by cosine, is the likeliest.
So codes are never idle, and the network is one that names them from pixels alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from moyin.backend import Tensor, nn, ops
from moyin.inference.image_processor import preprocess
from moyin.models.semantic_tokenizer import SemanticTokenizer, unit
from moyin.render.legend import Legend
from moyin.train.columns import semantic_columns
from moyin.train.objectives.base import Array, Batch, Objective, SampleRng, Source

SHARPNESS = 24.0  # logits of a cosine of 1


class LegendObjective(Objective):
    """Cross-entropy of the legend's ids, at some of an image's places.

    Most places show ground. All of them cost more than the network: of an image of nano's, 256
    softmaxes over 8192 codes take longer than 256 tokens through its layers, there and back.
    """

    stage: ClassVar[str] = "semantic"

    @dataclass(frozen=True, kw_only=True)
    class Config(Objective.Config):
        """on_text: weight of ids with text, those of the ground having 1. places: of an image that
        are asked for, those with text first, but for an eighth."""

        stage: ClassVar[str] = "semantic"
        network: SemanticTokenizer.Config = field(default_factory=SemanticTokenizer.Config)
        legend: Legend = field(default_factory=Legend)
        on_text: float = 4.0
        places: int = 96

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
        self.config, self.network, self.dataset = config, network, source.images

    @property
    def count(self) -> int:
        return len(self.dataset)

    def batch(self, indices: Array, sample_rng: SampleRng) -> Batch:
        rows = self.dataset.read(["image", "tokens"], indices)
        ids = np.stack([row["tokens"].reshape(-1) for row in rows]).astype(np.int64)
        chosen = [self._places(one, sample_rng.of(row, "places")) for row, one in enumerate(ids)]
        places = np.stack([places for places, _ in chosen])
        return {
            "pixels": np.stack([preprocess(row["image"]) for row in rows]),
            "tokens": np.take_along_axis(ids, places, 1),
            "places": places,
            "weights": np.stack([weights for _, weights in chosen]),
        }

    def _places(self, ids: Array, random: np.random.Generator) -> tuple[Array, Array]:
        """Places that are asked for, and weights with which they stand for all of their kind."""
        text = ids < self.config.legend.grounds
        words, ground = np.flatnonzero(text), np.flatnonzero(~text)
        most = min(self.config.places, len(ids))
        some = min(len(words), most - min(len(ground), most // 8))
        parts = ((words, some, self.config.on_text), (ground, most - some, 1.0))
        places = [random.choice(every, count, replace=False) for every, count, _ in parts]
        weights = [
            np.full(count, each * len(every) / max(count, 1)) for every, count, each in parts
        ]
        return np.concatenate(places), np.concatenate(weights).astype(np.float32)

    def weight(self, batch: Batch) -> float:
        return float(batch["weights"].sum())

    def loss(self, batch: dict[str, Tensor], dtype: Any) -> tuple[Tensor, dict[str, Tensor]]:
        network = self.network
        z = network.project(network.features(ops.cast(batch["pixels"], dtype)))
        b, h, w, width = z.shape
        first = ops.reshape(ops.arange(b, ops.int64) * (h * w), (b, 1))
        asked = ops.reshape(batch["places"] + first, (-1,))
        z = ops.take(ops.reshape(z, (b * h * w, width)), asked, 0)
        codes = unit(ops.cast(network.codebook.weight, ops.float32))
        flat = ops.matmul(z, ops.transpose(codes, 0, 1))
        ids = ops.reshape(batch["tokens"], (-1,))
        weights = ops.reshape(batch["weights"], (-1,))
        text = ops.cast(ids < self.config.legend.grounds, ops.float32)
        entropy = ops.cross_entropy(SHARPNESS * flat, ids)
        right = ops.cast(ops.argmax(flat, -1) == ids, ops.float32)
        shown = {"text_right": ops.sum(right * text) / (ops.sum(text) + 1e-6)}
        loss = ops.sum(entropy * weights) / ops.sum(weights)
        return loss, {n: ops.stop_gradient(x) for n, x in shown.items()}
