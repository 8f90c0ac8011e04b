"""The semantic tokenizer of nano learns what each of its tokens means.

Every 32 × 32 pixels of a rendered image have a token of a codebook layout. The network learns which
by cross-entropy over its own codebook, where the nearest code, by cosine, is the likeliest. So
codes are never idle, and tokens follow from pixels alone.

Loss: Σ w · CE(SHARPNESS · cosines, token) / Σ w over some positions of each image; w is
text_weight at tokens of text and 1 at grounds.
"""

from __future__ import annotations

from typing import Any, ClassVar, TypeAlias

import numpy as np

from moyin.backend import Tensor, nn, ops
from moyin.inference.image_processor import preprocess
from moyin.models.semantic_tokenizer import SemanticTokenizer, unit
from moyin.nano.config import TokenizerObjectiveConfig
from moyin.train.columns import semantic_columns
from moyin.train.objectives.base import Array, Batch, Objective, SampleRng, Source

SHARPNESS = 24.0  # logit of a cosine of 1


class TokenizerObjective(Objective):
    """Batches: pixels [B, 3, H, W] preprocessed; tokens, places and weights [B, P]: the tokens at P
    positions of each image, these positions, and what each counts for.

    Most positions show ground, and all of them cost more than the network: for an image of nano's,
    256 softmaxes over 8192 codes take longer than the network forward and backward.
    """

    stage: ClassVar[str] = "semantic"
    Config: TypeAlias = TokenizerObjectiveConfig

    def __init__(
        self, config: TokenizerObjectiveConfig, source: Source, network: SemanticTokenizer
    ) -> None:
        super().__init__()
        self.config, self.network, self.dataset = config, network, source.images

    @classmethod
    def create(
        cls, config: TokenizerObjectiveConfig, source: Source, start: Any
    ) -> TokenizerObjective:
        """See `ObjectiveConfig.build`."""
        semantic_columns(source, config.codebook_layout)
        if start is None:
            start = config.fresh_network(source)
            codes, width = start.config.codes, start.config.code_width
            rows = config.codebook_layout.rows(codes, width, 1.0)
            nn.set_parameter(start.codebook.weight, ops.asarray(rows))
        return cls(config, source, start)

    @property
    def count(self) -> int:
        return len(self.dataset)

    def batch(self, indices: Array, sample_rng: SampleRng) -> Batch:
        rows = self.dataset.read(["image", "tokens"], indices)
        tokens = np.stack([row["tokens"].reshape(-1) for row in rows]).astype(np.int64)
        chosen = [self._places(one, sample_rng.of(row, "places")) for row, one in enumerate(tokens)]
        places = np.stack([places for places, _ in chosen])
        return {
            "pixels": np.stack([preprocess(row["image"]) for row in rows]),
            "tokens": np.take_along_axis(tokens, places, 1),
            "places": places,
            "weights": np.stack([weights for _, weights in chosen]),
        }

    def _places(self, tokens: Array, random: np.random.Generator) -> tuple[Array, Array]:
        """Positions [P], text first, and weights with which they stand for all of their kind."""
        is_text = tokens < self.config.codebook_layout.grounds
        text, ground = np.flatnonzero(is_text), np.flatnonzero(~is_text)
        most = min(self.config.places, len(tokens))
        of_text = min(len(text), most - min(len(ground), most // 8))
        parts = ((text, of_text, self.config.text_weight), (ground, most - of_text, 1.0))
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
        places = ops.reshape(batch["places"] + first, (-1,))
        z = ops.take(ops.reshape(z, (b * h * w, width)), places, 0)
        codes = unit(ops.cast(network.codebook.weight, ops.float32))
        cosines = ops.matmul(z, ops.transpose(codes, 0, 1))
        tokens = ops.reshape(batch["tokens"], (-1,))
        weights = ops.reshape(batch["weights"], (-1,))
        text = ops.cast(tokens < self.config.codebook_layout.grounds, ops.float32)
        entropy = ops.cross_entropy(SHARPNESS * cosines, tokens)
        right = ops.cast(ops.argmax(cosines, -1) == tokens, ops.float32)
        shown = {"text_right": ops.sum(right * text) / (ops.sum(text) + 1e-6)}
        loss = ops.sum(entropy * weights) / ops.sum(weights)
        return loss, {n: ops.stop_gradient(x) for n, x in shown.items()}
