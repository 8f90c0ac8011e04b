"""Sequence → semantic tokens: the generator's part.

Axes: b sample, l position, n id to be written.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence as Items
from typing import Any

import numpy as np

from moyin.backend import Tensor, autograd, device, ops, random
from moyin.flow.guidance import combine
from moyin.inference.decode_step import HostWalk, Walk
from moyin.inference.sampling import pick, pick_host
from moyin.inference.semantic_tokens import SemanticTokens
from moyin.inference.speculative import Choose, drafted, guess_sources
from moyin.models.generator import Generator, LayerCache
from moyin.prompt.generator_inputs import Sequence, left_padded

Array = np.ndarray[Any, Any]
Progress = Callable[[int, int], None]  # done, of how many


def uniforms(count: int, seed: int, sample: int) -> Array:
    """The random numbers [count] that choose one image's ids, drawn at once."""
    return random.uniform((count,), seed, sample, "ids")


@autograd.no_grad()
def write(
    generator: Generator,
    sequences: Items[Sequence],
    uniforms: Items[Array],
    *,
    temperature: float = 0.9,
    top_p: float = 0.75,
    top_k: int = 0,
    unconditional: Items[Sequence] = (),
    guidance: float = 1.0,
    draft: int = 0,
    dtype: str = "float32",
    progress: Progress | None = None,
) -> list[Array]:
    """The image ids of each sequence, [n] int64: preview before large grid, codes only.

    Prefixes and grids may differ in length: none sees another's padding, and what a sequence
    would write beyond its own grids is thrown away. uniforms: float32 in [0, 1), at least one for
    each id of its sequence. unconditional: each sequence without its prompt; the logits go past
    theirs by `guidance`, where that is not 1. draft: how many ids may be guessed and read at once
    (`draft.py`); the ids that come out are the same. dtype: what is computed in.
    """
    counts = [s.count for s in sequences]
    longest, b = max(counts), len(sequences)
    chance: Any = np.stack(
        [_lengthened(u[:n], longest) for u, n in zip(uniforms, counts, strict=True)]
    )
    guided = guidance != 1
    read = [*sequences, *unconditional] if guided else sequences
    future = ops.asarray(np.stack([_lengthened(s.future, longest) for s in read], 1))
    logits, cache, mask_bk = _read(generator, read, longest, getattr(ops, dtype))
    start = max(len(s.ids) for s in read)
    walk: Any
    if device.is_accelerator():
        walk, draw, chance = Walk(generator, cache, future, mask_bk), pick, ops.asarray(chance)
    else:
        walk, draw = HostWalk(generator, cache, future, mask_bk, getattr(ops, dtype)), pick_host
        logits = ops.numpy(ops.cast(logits, ops.float32))

    def choose(logits: Any, n: int) -> Any:
        """The ids [b] of place n."""
        if guided:
            logits = combine(logits[:b], logits[b:], guidance)
        return draw(
            logits,
            chance[:, n],
            temperature=temperature,
            top_p=top_p,
            top_k=top_k,
            allowed=generator.config.vision_vocab - 128,
        )

    told = progress or (lambda done, total: None)
    if draft:
        sources = np.stack([guess_sources(s.grids, longest) for s in sequences])
        written = drafted(walk, choose, logits, sources, start, draft, told)
    else:
        written = _one_by_one(walk, choose, logits, longest, start, told)
    return [row[:count] for row, count in zip(written, counts, strict=True)]


def _one_by_one(
    walk: Any, choose: Choose, logits: Any, count: int, start: int, progress: Progress
) -> Array:
    """All ids [b, n]; on an accelerator, without waiting for any of them."""
    chosen = [choose(logits[:, 0], 0)]
    for n in range(1, count):
        progress(n, count)
        logits = walk.step(chosen[-1][:, None], n - 1, start + n - 1)
        chosen.append(choose(logits[:, 0], n))
    progress(count, count)
    return np.stack([ops.numpy(ops.asarray(ids)) for ids in chosen], 1)


def _read(
    generator: Generator, sequences: Items[Sequence], room: int, dtype: Any
) -> tuple[Tensor, list[LayerCache], Tensor | None]:
    """Read the prefixes: logits [b, 1, v] of the first ids, the cache with room for more, and which
    of its places are real [b, l], None where all are. One prefix of all is read once."""
    first, b = sequences[0], len(sequences)
    shared = all(np.array_equal(s.ids, first.ids) for s in sequences)
    ids, positions, mask = left_padded(
        sequences[:1] if shared else sequences, generator.config.pad_id
    )
    mask_bk = None
    if not mask.all():
        mask_bk = ops.asarray(np.concatenate([mask, np.ones((b, room), bool)], 1))
    cache = generator.new_cache(len(ids), ids.shape[1] + room, dtype)
    logits = generator.step(ops.asarray(ids), ops.asarray(positions), cache, 0, mask_bk)
    if shared and b > 1:
        logits = ops.repeat(logits, b, 0)
        cache = [LayerCache(ops.repeat(c.keys, b, 0), ops.repeat(c.values, b, 0)) for c in cache]
    return logits, cache, mask_bk


def _lengthened(values: Array, length: int) -> Array:
    """The last axis cut to a length, or its last value repeated up to it."""
    at = np.minimum(np.arange(length), values.shape[-1] - 1)
    return values[..., at]


def grids(
    ids_n: Array, sequence: Sequence, codes: int, prompt: str, sample: int = 0
) -> SemanticTokens:
    """One sample's ids cut into preview and large grid."""
    parts, at = [], 0
    for grid in sequence.grids:
        part = ids_n[at : at + grid.count].reshape(grid.rows, grid.columns)
        parts.append(part.astype(np.uint16))
        at += grid.count
    preview = parts[0] if len(parts) > 1 else None
    return SemanticTokens(
        grid=parts[-1], codes=codes, prompt=prompt, preview=preview, sample=sample
    )
