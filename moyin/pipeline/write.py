"""Sequence → semantic ids: the generator's part.

Axes: b sample, l position, n id to be written.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence as Items
from typing import Any

import numpy as np

from moyin.backend import Tensor, autograd, ops, random
from moyin.model.generator import Generator
from moyin.model.sampling import pick
from moyin.pipeline.ids import SemanticIds
from moyin.prompt.sequence import Sequence, left_padded

Progress = Callable[[int, int], None]  # done, of how many


def uniforms(count: int, seed: int, samples: Items[int]) -> np.ndarray[Any, Any]:
    """The random numbers [b, count] that choose every id, drawn at once."""
    return np.stack([random.uniform((count,), seed, sample, "ids") for sample in samples])


@autograd.no_grad()
def write(
    generator: Generator,
    sequences: Items[Sequence],
    uniforms_bn: np.ndarray[Any, Any],
    *,
    temperature: float = 0.9,
    top_p: float = 0.75,
    dtype: str = "float32",
    progress: Progress | None = None,
) -> np.ndarray[Any, Any]:
    """The image ids of each sequence, [b, n] int64: preview before large grid, codes only.

    The sequences must write grids of one size; their prefixes may differ in length.
    uniforms_bn: float32 in [0, 1), one for each id. dtype: what is computed in.
    """
    count = sequences[0].count
    assert all(s.grids == sequences[0].grids for s in sequences), "one size a batch"
    ids, positions, mask = left_padded(sequences, generator.config.pad_id)
    read = ids.shape[1]
    future = ops.asarray(np.stack([s.future for s in sequences], 1))
    mask_bk = None
    if not mask.all():
        written = np.ones((len(sequences), count), bool)
        mask_bk = ops.asarray(np.concatenate([mask, written], 1))
    cache = generator.new_cache(len(sequences), read + count, getattr(ops, dtype))
    chance = ops.asarray(uniforms_bn)
    logits = generator.step(ops.asarray(ids), ops.asarray(positions), cache, 0, mask_bk)
    chosen: list[Tensor] = []
    for n in range(count):
        next_b = pick(
            logits,
            chance[:, n],
            temperature=temperature,
            top_p=top_p,
            allowed=generator.config.vision_vocab - 128,
        )
        chosen.append(next_b)
        if n + 1 < count:
            place = future[:, :, n : n + 1]
            logits = generator.step(next_b[:, None], place, cache, read + n, mask_bk)
        if progress is not None:
            progress(n + 1, count)
    return ops.numpy(ops.stack(chosen, 1))


def grids(ids_n: np.ndarray[Any, Any], sequence: Sequence, codes: int, prompt: str) -> SemanticIds:
    """One sample's ids cut into preview and large grid."""
    parts, at = [], 0
    for grid in sequence.grids:
        part = ids_n[at : at + grid.count].reshape(grid.rows, grid.columns)
        parts.append(part.astype(np.uint16))
        at += grid.count
    preview = parts[0] if len(parts) > 1 else None
    return SemanticIds(grid=parts[-1], codes=codes, prompt=prompt, preview=preview)
