"""The generator's objective: next-token prediction on captions and semantic tokens.

Loss: Σ wᵢ · CE(tokenᵢ | tokens before it) / Σ wᵢ over all sequences of a batch. Only semantic
tokens and the mark that ends an image have a weight. Teacher forcing on discrete image tokens
follows Ramesh et al. 2021; dropped captions are for classifier-free guidance (Ho and Salimans
2022).

Axes: b sequences, l positions of a padded sequence.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self, TypeAlias

import numpy as np

from moyin.backend import Tensor, nn, ops
from moyin.checkpoint.glm4 import generator_from
from moyin.inference.config import TokenSampling
from moyin.inference.generate_tokens import generate_tokens, split_grids, token_uniforms
from moyin.models.generator import Generator
from moyin.prompt.generator_inputs import (
    Example,
    generation_sequence,
    right_padded,
    training_sequence,
)
from moyin.prompt.grid import Grid
from moyin.prompt.quotes import quoted
from moyin.prompt.tokenizer import TextTokenizer
from moyin.train.columns import check_edits, semantic_columns
from moyin.train.decode_samples import SampleDecoder
from moyin.train.frozen_embedding import FROZEN, PartlyFrozen
from moyin.train.losses import sum_and_count
from moyin.train.objectives.base import Array, Batch, Objective, SampleRng, Source
from moyin.train.objectives.config import GeneratorObjectiveConfig

KINDS = ("preview", "large")  # grids whose losses are shown separately
LENGTHS = 64  # lengths of batches are multiples of it: few shapes, few compilations
TOKENIZER_CAPTIONS = 4000  # images whose captions the text tokenizer is trained on


@dataclass(frozen=True)
class Sequences:
    """The sequences of one batch before padding; every list has one entry per sample.

    rows: of the dataset, with `meta`, `tokens` and `preview_tokens`. references: the row of the
    image that an edit starts from; None where the sample is no edit. records: what holds the
    sample's captions, `meta` or its edit. captions: of the sequence; None where it was dropped.
    token_grids: in the order of the sequence. preview: whether samples that are no edits have a
    preview. edited: whether edits are learned as such in this update. truncated: whether examples
    may end before their image does.
    """

    rows: list[dict[str, Any]]
    references: list[dict[str, Any] | None]
    records: list[dict[str, Any]]
    captions: list[str | None]
    token_grids: list[list[Array]]
    examples: list[Example]
    preview: bool
    edited: bool
    truncated: bool = False


@dataclass(frozen=True)
class GeneratorForward:
    """What auxiliary losses read: normed states [B, L', hidden] and the cross-entropy [B, L'] of
    the token after each; position 0 is position `first` of the batch's sequences."""

    network: Any
    states: Tensor
    cross_entropy: Tensor
    first: int


class GeneratorObjective(Objective):
    """Batches: tokens [B, L], positions [3, B, L], weights [B, L], kinds [B, 2, L], and first, the
    position before the first semantic token of any sequence. L is a multiple of LENGTHS.

    An auxiliary's term is a sum over the batch; it is divided by the sum of the weights, as the
    tokens' cross-entropy is.
    """

    stage: ClassVar[str] = "generator"
    Config: TypeAlias = GeneratorObjectiveConfig

    def __init__(
        self,
        config: GeneratorObjectiveConfig,
        source: Source,
        network: Generator,
        tokenizer: TextTokenizer,
    ) -> None:
        super().__init__()
        self.config, self.network, self.tokenizer = config, network, tokenizer
        self.source, self.dataset = source, source.images
        if config.freeze_text:
            part = PartlyFrozen(network.embedding, network.config.vision_vocab)
            nn.replace(network, "embedding", part)
        self.add_auxiliary()

    @classmethod
    def create(cls, config: GeneratorObjectiveConfig, source: Source, start: Any) -> Self:
        """See `ObjectiveConfig.build`. ValueError where the dataset lacks edits that are asked
        for."""
        semantic_columns(source, config.token_layout)
        if config.edit_probability:
            check_edits(source)
        tokenizer = _tokenizer(config, source)
        network = start or _fresh(config, source, tokenizer)
        return cls(config, source, network, tokenizer)

    @property
    def count(self) -> int:
        return len(self.dataset)

    @property
    def extras(self) -> dict[str, Any]:
        return {"tokenizer": self.tokenizer}

    def trained(self, name: str) -> bool:
        return not self.kept(name)

    def kept(self, name: str) -> bool:
        return name.endswith(FROZEN)

    def finish(self) -> Any:
        if self.config.freeze_text:
            nn.replace(self.network, "embedding", self.network.embedding.joined())
        return self.network

    def batch(self, indices: Array, sample_rng: SampleRng) -> Batch:
        samples = self.sequences(indices, sample_rng)
        for auxiliary in self.auxiliary:
            samples = auxiliary.transform(samples, sample_rng)
        pad = self.tokenizer.vocabulary.pad
        tokens, positions, weights = right_padded(samples.examples, pad, LENGTHS)
        kinds = [
            _kinds(tokens.shape[1], example, images)
            for example, images in zip(samples.examples, samples.token_grids, strict=True)
        ]
        arrays: Batch = {
            "tokens": tokens,
            "positions": positions,
            "weights": weights,
            "kinds": np.stack(kinds),
            "first": np.array(min(e.start for e in samples.examples) - 1),
        }
        return self.auxiliary_batch(samples, arrays)

    def sequences(self, indices: Array, sample_rng: SampleRng) -> Sequences:
        """The sequences of a batch; previews and edits are drawn once per update, so that little is
        padded."""
        preview = sample_rng.together("preview").random() < self.config.preview_probability
        edited = sample_rng.together("edits").random() < self.config.edit_probability
        rows = self.dataset.read(["meta", "tokens", "preview_tokens"], indices)
        samples = Sequences(rows, [], [], [], [], [], preview, edited)
        for number, (index, row) in enumerate(zip(indices, rows, strict=True)):
            edit = row["meta"].get("edit") if edited else None
            record = row["meta"] if edit is None else edit
            reference = None if edit is None else self.reference(int(index) + edit["of"])
            caption = self._caption(record, number, sample_rng)
            small = row["preview_tokens"] if preview and edit is None else None
            samples.references.append(reference)
            samples.records.append(record)
            samples.captions.append(caption)
            samples.token_grids.append([*([] if small is None else [small]), row["tokens"]])
            samples.examples.append(
                training_sequence(
                    self.tokenizer,
                    caption,
                    row["tokens"].astype(np.int64),
                    None if small is None else small.astype(np.int64),
                    [] if reference is None else [reference["tokens"].astype(np.int64)],
                    preview_weight=self.config.preview_weight,
                )
            )
        return samples

    def _caption(self, record: dict[str, Any], number: int, sample_rng: SampleRng) -> str | None:
        """One of the captions of an image or an edit; None where it is dropped."""
        if sample_rng.of(number, "drop").random() < self.config.condition_dropout:
            return None
        return caption_of(record, number, sample_rng)

    def reference(self, index: int) -> dict[str, Any]:
        """The row that an edit starts from, with `meta` and `tokens`."""
        row: dict[str, Any] = self.dataset.read(["meta", "tokens"], [index])[0]
        return row

    def weight(self, batch: Batch) -> float:
        return float(batch["weights"].sum())

    def loss(self, batch: dict[str, Tensor], dtype: Any) -> tuple[Tensor, dict[str, Tensor]]:
        first = int(batch["first"])
        tokens, weights = batch["tokens"], batch["weights"][:, first + 1 :]
        last = tokens.shape[1] - 1  # no token follows it
        states = self.network.states(tokens, batch["positions"], dtype=dtype)[:, first:last]
        logits = self.network.head(states)
        b, length, vocabulary = logits.shape
        # A text id cannot be a target: where the weight is zero any valid one will do.
        targets = tokens[:, first + 1 :]
        targets = ops.where(weights > 0, targets, ops.zeros_like(targets))
        entropy = ops.cross_entropy(
            ops.reshape(logits, (b * length, vocabulary)),
            ops.reshape(targets, (b * length,)),
        )
        counted = ops.reshape(weights, (b * length,))
        kinds = ops.cast(batch["kinds"][:, :, first + 1 :], ops.float32)
        shown = {
            f"loss_{kind}": sum_and_count(entropy, ops.reshape(kinds[:, i], (b * length,)))
            for i, kind in enumerate(KINDS)
        }
        forward = GeneratorForward(self.network, states, ops.reshape(entropy, (b, length)), first)
        total, more = self.auxiliary_loss(ops.sum(entropy * counted), forward, batch, dtype)
        return total / ops.sum(counted), shown | more

    def images(self, indices: Array, dtype: str) -> list[list[Array]]:
        """Each image, and the one decoded from tokens that are generated for its first caption;
        empty where the checkpoint lacks a network for it."""
        decoder = SampleDecoder.of(self.source, dtype)
        if decoder is None:
            return []
        rows = []
        for index in indices:
            sample = self.dataset.sample(int(index))
            prompt, grid = sample.captions[0], Grid.of_pixels(*sample.image.shape[:2])
            preview = self.config.preview_probability > 0
            sequence = generation_sequence(self.tokenizer, prompt, grid, preview)
            chance = token_uniforms(sequence.count, 0, int(index))
            (tokens,) = generate_tokens(
                self.network, [sequence], [chance], TokenSampling(), dtype=dtype
            )
            codes = self.tokenizer.vocabulary.codes
            generated = split_grids(tokens, sequence.grids, codes, prompt)
            decoded = decoder.decode(generated.grid, quoted(prompt), int(index))
            rows.append([sample.image, decoded])
        return rows


def _tokenizer(config: GeneratorObjectiveConfig, source: Source) -> TextTokenizer:
    """The checkpoint's text tokenizer if it fits the semantic tokens, else one trained on the
    dataset's first captions."""
    codes = source.configuration("semantic").codes
    tokenizer = source.tokenizer()
    if tokenizer is not None and tokenizer.vocabulary.codes == codes:
        return tokenizer
    dataset = source.images
    first = range(min(len(dataset), TOKENIZER_CAPTIONS))
    captions = [c for row in dataset.read(["meta"], first) for c in row["meta"]["captions"]]
    return TextTokenizer.train(captions, size=config.text_vocab_size, codes=codes)


def _fresh(config: GeneratorObjectiveConfig, source: Source, tokenizer: TextTokenizer) -> Generator:
    """A generator for the tokenizer's vocabulary, with fresh weights or a language model's."""
    v = tokenizer.vocabulary
    sizes = replace(
        config.network, vocab=v.size, vision_vocab=v.vision, pad_id=v.pad, image_id=v.image
    )
    folder = config.language_model
    network = generator_from(folder, sizes) if folder else sizes.build()
    config.init(network, source)
    return network


def caption_of(record: dict[str, Any], number: int, sample_rng: SampleRng) -> str:
    """One caption of an image or an edit, drawn for sample `number` of the batch."""
    captions: list[str] = record["captions"]
    return captions[int(sample_rng.of(number, "captions").integers(len(captions)))]


def _kinds(length: int, example: Example, images: list[Array]) -> Array:
    """Which of KINDS each token of an example is: [2, length] uint8."""
    kinds = np.zeros((len(KINDS), length), np.uint8)
    large = example.start + sum(image.size for image in images[:-1])
    kinds[0, example.start : large] = 1
    kinds[1, large : large + images[-1].size] = 1
    kinds[:, len(example.ids) :] = 0
    return kinds
