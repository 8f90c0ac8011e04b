"""The generator: from a caption, the preview's ids and the large grid's, one after another.

Cross-entropy on image ids and the end mark alone. Both kinds of sequences are learned: with the
preview, which every reference pipeline asks for, and without.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from moyin.backend import Tensor, nn, ops
from moyin.checkpoint.glm4 import generator_from
from moyin.inference.generate_tokens import grids, uniforms, write
from moyin.models.generator import Generator, look_back
from moyin.prompt.generator_inputs import (
    Example,
    generation_sequence,
    right_padded,
    training_sequence,
)
from moyin.prompt.grid import Grid
from moyin.prompt.quotes import quoted
from moyin.prompt.tokenizer import TextTokenizer
from moyin.render.legend import Legend
from moyin.train.columns import check_edits, semantic_columns
from moyin.train.frozen_embedding import FROZEN, PartlyFrozen
from moyin.train.objectives import plan
from moyin.train.objectives.base import Array, Batch, Objective, SampleRng, Source
from moyin.train.objectives.painter import Painter

KINDS = ("preview", "large", "edges")  # of ids, whose losses are shown apart
LENGTHS = 64  # lengths of batches are multiples of it: few shapes, few compilations
TOKENIZER_CAPTIONS = 4000  # images whose captions the text tokenizer is trained on


class GeneratorObjective(Objective):
    """Next-id prediction on captions and semantic tokens."""

    stage: ClassVar[str] = "generator"

    @dataclass(frozen=True, kw_only=True)
    class Config(Objective.Config):
        """preview: share of sequences with one; preview_weight: of its ids in the loss.

        edits: share of the updates in which images that are edits of others are learned so, with
        those read before what is asked for; drop: share of sequences without any caption, which
        guidance of the ids compares with.
        edges: weight of the ids with which a row's text begins and ends, of the first, whose
        ground the others repeat, and of all before the text, whose place they leave to come. They
        say what stands where. opening: share of the updates whose sequences end with the last row
        of text that differs from the one above, since what follows repeats what was decided there.
        text: size of the text vocabulary, trained here unless the checkpoint has a tokenizer of
        the same number of codes. language_model: a GLM-4-0414 folder, whose weights a fresh
        generator begins with (`checkpoint.glm4`). legend: what the ids of rendered images say,
        none for what the tokenizer says; fresh rows of the ids begin with it. plan: weight,
        beside an id's, of telling before the first id what a caption asks for: what
        `PlanningObjective` taught. ahead: weight, beside an id's, of telling at each id how far
        the next edge and the next row of text are. looking_back: heads of each layer of a fresh
        generator that begin with looking at single ids before theirs (`look_back`). freeze_text:
        text ids' rows of the embedding stay as they are. `network`'s vocabulary fields are taken
        from the tokenizer.
        """

        stage: ClassVar[str] = "generator"
        network: Generator.Config = field(default_factory=Generator.Config)
        text: int = 2048
        preview: float = 0.5
        preview_weight: float = 1.5
        edits: float = 0.0
        drop: float = 0.0
        edges: float = 1.0
        opening: float = 0.0
        plan: float = 0.0
        ahead: float = 0.0
        looking_back: int = 0
        language_model: str = ""
        freeze_text: bool = False
        legend: Legend | None = None

        def __post_init__(self) -> None:
            if self.looking_back and self.language_model:
                raise ValueError("looking_back: the heads of a language model look already")

        def build(self, source: Source, start: Any) -> GeneratorObjective:
            semantic_columns(source, self.legend)
            if self.edits:
                check_edits(source)
            tokenizer = self._tokenizer(source)
            return GeneratorObjective(self, source, start or self._fresh(tokenizer), tokenizer)

        def _tokenizer(self, source: Source) -> TextTokenizer:
            codes = source.configuration("semantic").codes
            found = source.tokenizer()
            if found is not None and found.vocabulary.codes == codes:
                return found
            dataset = source.images
            some = range(min(len(dataset), TOKENIZER_CAPTIONS))
            captions = [c for row in dataset.read(["meta"], some) for c in row["meta"]["captions"]]
            return TextTokenizer.train(captions, size=self.text, codes=codes)

        def _fresh(self, tokenizer: TextTokenizer) -> Generator:
            v = tokenizer.vocabulary
            sizes = replace(
                self.network, vocab=v.size, vision_vocab=v.vision, pad_id=v.pad, image_id=v.image
            )
            begun = self.language_model
            network = generator_from(begun, sizes) if begun else sizes.build()
            if self.looking_back:
                look_back(network, self.looking_back)
            if self.legend is not None:
                width = network.config.hidden
                for rows, std in ((network.embedding.weight, 1.0), (network.head.weight, 0.03)):
                    start = np.array(ops.numpy(rows))
                    start[: v.codes] = self.legend.rows(v.codes, width, std)
                    nn.set_parameter(rows, ops.asarray(start))
            return network

    def __init__(
        self, config: Config, source: Source, network: Generator, tokenizer: TextTokenizer
    ) -> None:
        super().__init__()
        self.config, self.network, self.tokenizer = config, network, tokenizer
        self.source, self.dataset = source, source.images
        if config.freeze_text:
            part = PartlyFrozen(network.embedding, network.config.vision_vocab)
            nn.replace(network, "embedding", part)
        if config.plan:
            self.plan = plan.Plan(network.config)
        if config.ahead:
            self.ahead = plan.Ahead(network.config.hidden)

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
        # All of an update alike, so that little is padded.
        with_preview = sample_rng.together("preview").random() < self.config.preview
        examples, kinds, ahead = [], [], []
        rows = self.dataset.read(["meta", "tokens", "preview_tokens"], indices)
        edited = sample_rng.together("edits").random() < self.config.edits
        opening = sample_rng.together("opening").random() < self.config.opening
        asked = []
        for number, (index, row) in enumerate(zip(indices, rows, strict=True)):
            edit = row["meta"].get("edit") if edited else None
            preview = with_preview and edit is None
            before = None if edit is None else self._reference(int(index) + edit["of"])
            images = [row["preview_tokens"], row["tokens"]] if preview else [row["tokens"]]
            caption = self._caption(row["meta"] if edit is None else edit, number, sample_rng)
            example = training_sequence(
                self.tokenizer,
                caption,
                row["tokens"].astype(np.int64),
                row["preview_tokens"].astype(np.int64) if preview else None,
                [] if before is None else [before["tokens"].astype(np.int64)],
                preview_weight=self.config.preview_weight,
            )
            found = [edges(row["meta"]["lines"], row["tokens"].shape, g.shape) for g in images]
            edge = np.concatenate(found, None)
            heavy = np.concatenate([telling(e) for e in found])
            example.weights[example.start + np.flatnonzero(heavy)] *= self.config.edges
            which = _kinds(len(example.ids), example.start, images[:-1], edge)
            if opening:
                example = _opening(example, found[0])
            examples.append(example)
            kinds.append(which[:, : len(example.ids)])
            if self.config.ahead:
                ahead.append(_ahead(row["meta"]["lines"], row["tokens"].shape, images, example))
            # Captions are short: beside whole images, all that an image has are planned from,
            # unless there are edits, which are long.
            told = (row["meta"] if edit is None else edit)["captions"]
            planned = [caption or told[0]] if opening or edited else told
            asked += [(c, row, before) for c in planned]
        ids, positions, weights = right_padded(examples, self.tokenizer.vocabulary.pad, LENGTHS)
        padded = [np.pad(k, ((0, 0), (0, ids.shape[1] - k.shape[1]))) for k in kinds]
        made = {
            "tokens": ids,
            "positions": positions,
            "weights": weights,
            "kinds": np.stack(padded),
            "first": np.array(min(e.start for e in examples) - 1),
        }
        if self.config.ahead:
            lacking = [((0, 0), (0, ids.shape[1] - a.shape[1])) for a in ahead]
            pairs = zip(ahead, lacking, strict=True)
            made["ahead"] = np.stack([np.pad(a, n, constant_values=-1) for a, n in pairs])
        if self.config.plan:
            captions, of, references = map(list, zip(*asked, strict=True))
            made |= plan.prefixes(self.tokenizer, captions, of, with_preview, references)
        return made

    def _caption(self, told: dict[str, Any], number: int, sample_rng: SampleRng) -> str | None:
        """One of the captions of an image or an edit, or none."""
        if sample_rng.of(number, "drop").random() < self.config.drop:
            return None
        return caption_of(told, number, sample_rng)

    def _reference(self, index: int) -> dict[str, Any]:
        """The row that an edit reads, with `meta` and `ids`."""
        row: dict[str, Any] = self.dataset.read(["meta", "tokens"], [index])[0]
        return row

    def weight(self, batch: Batch) -> float:
        return float(batch["weights"].sum())

    def loss(self, batch: dict[str, Tensor], dtype: Any) -> tuple[Tensor, dict[str, Tensor]]:
        first = int(batch["first"])
        ids, weights = batch["tokens"], batch["weights"]
        last = ids.shape[1] - 1  # which says nothing of a next one
        states = self.network.states(ids, batch["positions"], dtype=dtype)[:, first:last]
        logits = self.network.head(states)
        b, length, vocabulary = logits.shape
        # A text id cannot be a target: where the weight is zero any valid one will do.
        targets = ops.where(
            weights[:, first + 1 :] > 0, ids[:, first + 1 :], ops.zeros_like(ids[:, first + 1 :])
        )
        entropy = ops.cross_entropy(
            ops.reshape(logits, (b * length, vocabulary)),
            ops.reshape(targets, (b * length,)),
        )
        counted = ops.reshape(weights[:, first + 1 :], (b * length,))
        kinds = ops.cast(batch["kinds"][:, :, first + 1 :], ops.float32)
        shown = {}
        for i, kind in enumerate(KINDS):
            here = ops.reshape(kinds[:, i], (b * length,))
            shown[f"loss_{kind}"] = ops.stack([ops.sum(entropy * here), ops.sum(here)])
        total = ops.sum(entropy * counted)
        if self.config.ahead:
            far = batch["ahead"][:, :, first + 1 :]
            missed = self.ahead(states, far)
            total = total + self.config.ahead * missed
            known = ops.sum(ops.cast(far >= 0, ops.float32))
            shown["loss_ahead"] = ops.stack([missed, known])
        if self.config.plan:
            missed, told = self.plan(self.network, batch, dtype)
            total, shown = total + self.config.plan * ops.sum(missed), shown | told
        return total / ops.sum(counted), shown

    def images(self, indices: Array, dtype: str) -> list[list[Array]]:
        """What is painted of the ids written for each caption, where the checkpoint can paint."""
        painter = Painter.of(self.source, dtype)
        if painter is None:
            return []
        found = []
        for index in indices:
            sample = self.dataset.sample(int(index))
            prompt, grid = sample.captions[0], Grid.of_pixels(*sample.image.shape[:2])
            sequence = generation_sequence(self.tokenizer, prompt, grid, self.config.preview > 0)
            chance = uniforms(sequence.count, 0, int(index))
            ids = write(self.network, [sequence], [chance], dtype=dtype)[0]
            made = grids(ids, sequence, self.tokenizer.vocabulary.codes, prompt)
            painted = painter.paint(made.grid, quoted(prompt), int(index))
            found.append([sample.image, painted])
        return found


def caption_of(told: dict[str, Any], number: int, sample_rng: SampleRng) -> str:
    """One of the captions that are told of a batch's sample, any of them."""
    captions: list[str] = told["captions"]
    return captions[int(sample_rng.of(number, "captions").integers(len(captions)))]


def _kinds(length: int, start: int, previews: list[Array], edge: Array) -> Array:
    """Which of KINDS each id of an example is: [3, length] uint8."""
    kinds = np.zeros((len(KINDS), length), np.uint8)
    large = start + sum(p.size for p in previews)
    kinds[0, start:large] = 1
    kinds[1, large : start + edge.size] = 1
    kinds[2, start : start + edge.size] = edge
    return kinds


def _ahead(
    lines: list[dict[str, Any]], of: tuple[int, ...], images: list[Array], example: Example
) -> Array:
    """`plan.distances` of each id of an example, −1 of those that are in no image:
    [2, length] int64."""
    grids = [plan.distances(plan.written(lines, of, p.shape)).reshape(2, -1) for p in images]
    told = np.concatenate(grids, 1)[:, : len(example.ids) - example.start]
    after = len(example.ids) - example.start - told.shape[1]
    return np.pad(told, ((0, 0), (example.start, after)), constant_values=-1)


def telling(edge: Array) -> Array:
    """The edges of a grid, all ids before its text, and those before it in each row where it is
    not as in the row above, flat. Where only the id with which text begins weighs more, a generator
    that is not sure begins it too soon."""
    found = edge.copy()
    rows = _deciding(edge)
    for row in rows:
        found[row, : int(edge[row].argmax())] = True
    if len(rows):
        found[: rows[0]] = True
    return found.reshape(-1)


def _deciding(edge: Array) -> Array:
    """The rows of a grid whose text begins or ends elsewhere than that of the row above."""
    begins = edge.copy()
    begins[0, 0] = False  # which counts as an edge because all grounds follow it
    above = np.pad(begins, ((1, 0), (0, 0)))[:-1]
    return np.flatnonzero(begins.any(1) & (begins != above).any(1))


def _opening(example: Example, edge: Array) -> Example:
    """The example up to the end of the last row of text in its first grid, `edge`'s, that begins or
    ends it elsewhere than the row above; whole where there is none."""
    rows = _deciding(edge)
    if not len(rows):
        return example
    last = int(rows[-1])
    stop = example.start + last * edge.shape[1] + int(np.flatnonzero(edge[last])[-1]) + 1
    return replace(
        example,
        ids=example.ids[:stop],
        positions=example.positions[:, :stop],
        weights=example.weights[:stop],
    )


def edges(lines: list[dict[str, Any]], of: tuple[int, ...], shape: tuple[int, ...]) -> Array:
    """Whether each id of a grid [rows, columns] is the first, or begins or ends text in its row.

    lines: as a `Sample` has them, in pixels of an image whose own grid is `of`.
    """
    text = plan.written(lines, of, shape)
    before = np.pad(text, ((0, 0), (1, 0)))[:, :-1]
    found: Array = text != before
    found[0, 0] = True
    return found
