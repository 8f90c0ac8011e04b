"""The generator's sequence format: what it reads, what it generates, and the position of each id.

Text to image:  prompt <sop>rows columns<eop> <sop>rows columns<eop> START  preview  large  END
Without preview, or with reference images in front:
                (START reference END)…  prompt <sop>rows columns<eop> START  large  END

Positions have three axes (time, row, column). Text advances all three by one. An image begins
at the next free position b: its tokens have (b, b + row, b + column), and what follows begins at
b + its longer side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from moyin.prompt.grid import Grid
from moyin.prompt.tokenizer import TextTokenizer

Ids = np.ndarray[Any, np.dtype[np.int64]]
Mask = np.ndarray[Any, np.dtype[np.bool_]]
Weights = np.ndarray[Any, np.dtype[np.float32]]

LIMIT = 2048  # text ids of a prompt; the longest of the benchmarks, spelt by letters, has 1029


@dataclass(frozen=True)
class GeneratorInputs:
    """What the generator reads, and the positions of what it is to generate."""

    ids: Ids  # [L]
    positions: Ids  # [3, L]
    future: Ids  # [3, N + 1]: of every token to be generated, END included
    grids: tuple[Grid, ...]  # to be generated, in this order; the last is the image's own

    @property
    def count(self) -> int:
        """Image tokens to be generated."""
        return sum(grid.count for grid in self.grids)


@dataclass(frozen=True)
class Example:
    """A whole sequence for teacher forcing."""

    ids: Ids  # [L]
    positions: Ids  # [3, L]
    weights: Weights  # [L]: of ids[i] as a target, to be predicted at i − 1; 0 where none is
    start: int  # the first target


def generation_sequence(
    tokenizer: TextTokenizer,
    prompt: str | None,
    large: Grid,
    preview: bool = True,
    references: Sequence[Ids] = (),
    limit: int = LIMIT,
) -> GeneratorInputs:
    """The prefix of a generation.

    prompt: None for the unconditional sequence, which has no text. references: semantic tokens
    [rows, columns] of each reference image; with any, there is no preview. ValueError if the
    prompt is empty, longer than `limit` ids, or contains a special token.
    """
    grids = (large.preview(), large) if preview and not references else (large,)
    text = [] if prompt is None else _prompt_ids(tokenizer, prompt, limit)
    for grid in reversed(grids):
        text += tokenizer.encode(_size(tokenizer, grid))
    vocabulary = tokenizer.vocabulary
    layout = _Layout()
    for ids in references:
        layout.text([vocabulary.image_start])
        layout.image(ids)
        layout.text([vocabulary.image_end])
    layout.text([*text, vocabulary.image_start])
    read = len(layout.ids)
    for grid in grids:
        layout.image(np.zeros((grid.rows, grid.columns), dtype=np.int64))
    layout.text([vocabulary.image_end])
    ids, positions = layout.arrays()
    return GeneratorInputs(ids[:read], positions[:, :read], positions[:, read:], grids)


def training_sequence(
    tokenizer: TextTokenizer,
    prompt: str | None,
    large: Ids,
    preview: Ids | None = None,
    references: Sequence[Ids] = (),
    preview_weight: float = 1.0,
    limit: int = LIMIT,
) -> Example:
    """Prefix, image tokens and END, with a loss on the last two alone.

    prompt: None for a sequence without text. large, preview, references: semantic tokens [rows,
    columns]. preview_weight: of each preview token in the loss; the others
    weigh 1. ValueError as in `generation_sequence`, or if the preview has not the size that
    `Grid.preview` gives.
    """
    if preview is not None and references:
        raise ValueError("an example with reference images has no preview")
    prefix = generation_sequence(
        tokenizer, prompt, Grid(*large.shape), preview is not None, references, limit
    )
    images = [large] if preview is None else [preview, large]
    for ids, grid in zip(images, prefix.grids, strict=True):
        if ids.shape != (grid.rows, grid.columns):
            raise ValueError(f"the preview is {ids.shape}, it must be {grid.rows, grid.columns}")
    generated = [*(ids.reshape(-1) for ids in images), [tokenizer.vocabulary.image_end]]
    weights = np.ones(prefix.future.shape[1], dtype=np.float32)
    if preview is not None:
        weights[: preview.size] = preview_weight
    return Example(
        np.concatenate([prefix.ids, *generated]).astype(np.int64),
        np.concatenate([prefix.positions, prefix.future], axis=1),
        np.concatenate([np.zeros(len(prefix.ids), dtype=np.float32), weights]),
        len(prefix.ids),
    )


def left_padded(sequences: Sequence[GeneratorInputs], pad: int) -> tuple[Ids, Ids, Mask]:
    """Prefixes padded in front: ids [B, L], positions [3, B, L], mask [B, L]."""
    longest = max(len(s.ids) for s in sequences)
    ids = np.full((len(sequences), longest), pad, dtype=np.int64)
    positions = np.ones((3, len(sequences), longest), dtype=np.int64)
    mask = np.zeros(ids.shape, dtype=bool)
    for i, s in enumerate(sequences):
        ids[i, longest - len(s.ids) :] = s.ids
        positions[:, i, longest - len(s.ids) :] = s.positions
        mask[i, longest - len(s.ids) :] = True
    return ids, positions, mask


def right_padded(
    examples: Sequence[Example], pad: int, multiple: int = 1
) -> tuple[Ids, Ids, Weights]:
    """Examples padded behind: ids [B, L], positions [3, B, L], weights [B, L].

    L is a multiple of `multiple`. The model is causal, so no token attends to this padding: it
    needs no mask.
    """
    longest = -(-max(len(e.ids) for e in examples) // multiple) * multiple
    ids = np.full((len(examples), longest), pad, dtype=np.int64)
    positions = np.ones((3, len(examples), longest), dtype=np.int64)
    weights = np.zeros(ids.shape, dtype=np.float32)
    for i, e in enumerate(examples):
        ids[i, : len(e.ids)] = e.ids
        positions[:, i, : len(e.ids)] = e.positions
        weights[i, : len(e.ids)] = e.weights
    return ids, positions, weights


class _Layout:
    """Appends ids with their positions and keeps the next free position."""

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.positions: list[Ids] = []
        self.free = 0

    def text(self, ids: Sequence[int]) -> None:
        self.ids += ids
        self.positions.append(np.tile(np.arange(self.free, self.free + len(ids)), (3, 1)))
        self.free += len(ids)

    def image(self, ids: Ids) -> None:
        rows, columns = ids.shape
        self.ids += ids.reshape(-1).tolist()
        row, column = np.divmod(np.arange(ids.size), columns)
        self.positions.append(self.free + np.stack([np.zeros_like(row), row, column]))
        self.free += max(rows, columns)

    def arrays(self) -> tuple[Ids, Ids]:
        return np.array(self.ids, dtype=np.int64), np.concatenate(self.positions, axis=1)


def _prompt_ids(tokenizer: TextTokenizer, prompt: str, limit: int) -> list[int]:
    if not prompt.strip():
        raise ValueError("the prompt is empty: say what the image shows")
    ids = tokenizer.encode(prompt)
    if len(ids) > limit:
        raise ValueError(f"the prompt is {len(ids)} tokens long: shorten it to {limit}")
    v = tokenizer.vocabulary
    special = {v.pad, v.grid_start, v.grid_end, v.image}
    first = next((i for i in ids if i < v.vision or i in special), None)
    if first is not None:
        raise ValueError(
            f"the prompt contains {tokenizer.decode([first])}, a special token of the sequence "
            "format: take it out"
        )
    return ids


def _size(tokenizer: TextTokenizer, grid: Grid) -> str:
    special = tokenizer.special_tokens
    return f"{special.grid_bos_token}{grid.rows} {grid.columns}{special.grid_eos_token}"
