"""Where text begins and ends in a grid of tokens, and two auxiliaries of the generator about it.

Nearly all tokens of nano's images repeat the one above or beside them; those at a boundary decide
where text is.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from moyin.backend import Tensor, ops
from moyin.prompt.generator_inputs import Example
from moyin.train.auxiliary import Auxiliary
from moyin.train.losses import sum_and_count
from moyin.train.objectives.base import Array, Batch, SampleRng
from moyin.train.objectives.generator import GeneratorForward, Sequences
from moyin.train.text_mask import text_mask


class BoundaryWeight(Auxiliary):
    """Multiplies the loss weights of the tokens in `boundary_mask`; shows the boundaries' loss."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = weight

    def transform(self, samples: Sequences, sample_rng: SampleRng) -> Sequences:
        for number, example in enumerate(samples.examples):
            heavy = np.concatenate([boundary_mask(b) for b in _boundaries(samples, number)])
            stop = len(example.ids) - example.start
            example.weights[example.start + np.flatnonzero(heavy[:stop])] *= self.weight
        return samples

    def batch(self, samples: Sequences, arrays: Batch) -> Batch:
        """boundaries [B, L] uint8: 1 at the boundaries of each sequence."""
        found = np.zeros(arrays["tokens"].shape, np.uint8)
        for number, example in enumerate(samples.examples):
            flat = np.concatenate([b.reshape(-1) for b in _boundaries(samples, number)])
            flat = flat[: len(example.ids) - example.start]
            found[number, example.start : example.start + len(flat)] = flat
        return {"boundaries": found}

    def loss(
        self, forward: GeneratorForward, batch: dict[str, Tensor], dtype: Any
    ) -> tuple[None, dict[str, Tensor]]:
        mask = ops.cast(batch["boundaries"][:, forward.first + 1 :], ops.float32)
        return None, {"loss_boundaries": sum_and_count(forward.cross_entropy, mask)}


class Truncation(Auxiliary):
    """In a share of the updates, ends sequences with the last row of text that differs from the row
    above: what follows repeats what was decided."""

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def transform(self, samples: Sequences, sample_rng: SampleRng) -> Sequences:
        if sample_rng.together("opening").random() >= self.probability:
            return samples
        examples = [
            truncated(example, _boundaries(samples, number)[0])
            for number, example in enumerate(samples.examples)
        ]
        return replace(samples, examples=examples, truncated=True)


def _boundaries(samples: Sequences, number: int) -> list[Array]:
    """Boundaries of each grid of a sample's sequence."""
    row = samples.rows[number]
    lines, grid = row["meta"]["lines"], row["tokens"].shape
    return [boundaries(lines, grid, image.shape) for image in samples.token_grids[number]]


def boundaries(lines: list[dict[str, Any]], grid: tuple[int, ...], shape: tuple[int, ...]) -> Array:
    """Whether each token of a grid `shape` (rows, columns) is the first, or begins or ends text in
    its row: bool [rows, columns].

    lines: a sample's, in pixels of an image of `grid` tokens.
    """
    text = text_mask(lines, grid, shape)
    before = np.pad(text, ((0, 0), (1, 0)))[:, :-1]
    found: Array = text != before
    found[0, 0] = True
    return found


def boundary_mask(boundary: Array) -> Array:
    """The boundaries, all tokens before the first row of text, and those before text in rows where
    it is not as in the row above: flat bool [rows · columns].

    If only the token with which text begins weighed more, an unsure generator would begin it too
    early.
    """
    mask = boundary.copy()
    rows = _deciding(boundary)
    for row in rows:
        mask[row, : int(boundary[row].argmax())] = True
    if len(rows):
        mask[: rows[0]] = True
    return mask.reshape(-1)


def _deciding(boundary: Array) -> Array:
    """The rows whose text begins or ends elsewhere than that of the row above."""
    begins = boundary.copy()
    begins[0, 0] = False  # a boundary only because the ground that follows repeats it
    above = np.pad(begins, ((1, 0), (0, 0)))[:-1]
    return np.flatnonzero(begins.any(1) & (begins != above).any(1))


def truncated(example: Example, boundary: Array) -> Example:
    """The example up to the end of the last row of text in its first grid that differs from the row
    above; unchanged where there is none. boundary: of that grid."""
    rows = _deciding(boundary)
    if not len(rows):
        return example
    last = int(rows[-1])
    end = last * boundary.shape[1] + int(np.flatnonzero(boundary[last])[-1]) + 1
    stop = example.start + end
    return replace(
        example,
        ids=example.ids[:stop],
        positions=example.positions[:, :stop],
        weights=example.weights[:stop],
    )
