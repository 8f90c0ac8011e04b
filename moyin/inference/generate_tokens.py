"""GeneratorInputs → semantic tokens: the generator's part.

Axes: b sample, l position of the prefix, n token to be generated.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from moyin.backend import Tensor, autograd, ops, random
from moyin.flow.guidance import combine
from moyin.inference.config import TokenSampling
from moyin.inference.decode_step import Step, decode_step_class
from moyin.inference.semantic_tokens import SemanticTokens
from moyin.inference.speculative import Choose, guess_sources, speculative_decode
from moyin.inference.step import TokenHook, TokenStep
from moyin.models.generator import Generator, LayerCache
from moyin.prompt.generator_inputs import GeneratorInputs, left_padded
from moyin.prompt.grid import Grid
from moyin.prompt.vocabulary import RESERVED

Array = np.ndarray[Any, Any]


def token_uniforms(count: int, seed: int, sample: int) -> Array:
    """The random numbers [count] that sample one image's tokens, drawn beforehand."""
    return random.uniform((count,), seed, sample, "ids")


@autograd.no_grad()
def generate_tokens(
    generator: Generator,
    inputs: Sequence[GeneratorInputs],
    uniforms: Sequence[Array],
    sampling: TokenSampling,
    *,
    unconditional: Sequence[GeneratorInputs] = (),
    dtype: str = "float32",
    on_step: TokenHook | None = None,
) -> list[Array]:
    """The image tokens of each sample, [n] int64: preview before large grid, codes only.

    Prefixes and grids may differ in length: padding is masked, and what a sample would generate
    beyond its own grids is dropped. uniforms: float32 in [0, 1), at least one for each token of its
    sample. unconditional: each input without its prompt, for a token guidance other than 1. dtype:
    what the generator computes in. on_step: called after every step; where it stops, the arrays
    are as long as what was generated.
    """
    counts = [sample.count for sample in inputs]
    longest, b = max(counts), len(inputs)
    guided = sampling.token_guidance != 1
    prefixes = [*inputs, *unconditional] if guided else inputs
    future = ops.asarray(np.stack([_resized(p.future, longest) for p in prefixes], 1))
    logits, cache, mask_bk = _read_prefixes(generator, prefixes, longest, getattr(ops, dtype))
    start = max(len(p.ids) for p in prefixes)
    step = decode_step_class()(generator, cache, future, mask_bk, getattr(ops, dtype))
    chances = step.array(
        np.stack([_resized(u[:n], longest) for u, n in zip(uniforms, counts, strict=True)])
    )
    codes = generator.config.vision_vocab - RESERVED

    def choose(logits: Any, n: int) -> Any:
        """The tokens [b] of place n."""
        if guided:
            logits = combine(logits[:b], logits[b:], sampling.token_guidance)
        return step.sample(logits, chances[:, n], sampling, codes)

    logits = step.logits(logits)
    if sampling.draft:
        sources = np.stack([guess_sources(sample.grids, longest) for sample in inputs])
        tokens = speculative_decode(step, choose, logits, sources, start, sampling.draft, on_step)
    else:
        tokens = _decode(step, choose, logits, longest, start, on_step)
    return [row[:count] for row, count in zip(tokens, counts, strict=True)]


def _decode(
    step: Step, choose: Choose, logits: Any, count: int, start: int, on_step: TokenHook | None
) -> Array:
    """All tokens [b, n]; without a hook that reads them, an accelerator waits for none of them."""
    chosen = [choose(logits[:, 0], 0)]

    def read() -> Array:
        return np.stack([ops.numpy(ops.asarray(tokens)) for tokens in chosen], 1)

    for n in range(1, count + 1):
        if on_step is not None:
            on_step(state := TokenStep(n, count, read))
            if state.stop:
                break
        if n < count:
            logits = step.step(chosen[-1][:, None], n - 1, start + n - 1)
            chosen.append(choose(logits[:, 0], n))
    return read()


def _read_prefixes(
    generator: Generator, inputs: Sequence[GeneratorInputs], room: int, dtype: Any
) -> tuple[Tensor, list[LayerCache], Tensor | None]:
    """Logits [b, 1, v] of the first tokens, the cache with room for more, and which of its places
    are real [b, l], None where all are. A prefix that all samples share is read once."""
    first, b = inputs[0], len(inputs)
    shared = all(np.array_equal(sample.ids, first.ids) for sample in inputs)
    ids, positions, mask = left_padded(inputs[:1] if shared else inputs, generator.config.pad_id)
    mask_bk = None
    if not mask.all():
        mask_bk = ops.asarray(np.concatenate([mask, np.ones((b, room), bool)], 1))
    cache = generator.new_cache(len(ids), ids.shape[1] + room, dtype)
    logits = generator.step(ops.asarray(ids), ops.asarray(positions), cache, 0, mask_bk)
    if shared and b > 1:
        logits = ops.repeat(logits, b, 0)
        cache = [LayerCache(ops.repeat(c.keys, b, 0), ops.repeat(c.values, b, 0)) for c in cache]
    return logits, cache, mask_bk


def _resized(values: Array, length: int) -> Array:
    """The last axis cut to a length, or its last value repeated up to it."""
    places = np.minimum(np.arange(length), values.shape[-1] - 1)
    return values[..., places]


def split_grids(
    tokens_n: Array,
    grids: Sequence[Grid],
    codes: int,
    prompt: str,
    seed: int = 0,
    sample: int = 0,
) -> SemanticTokens:
    """One sample's tokens as preview and large grid.

    Missing ones, where generation was stopped, are filled: by the preview's token of their place
    where the preview is whole, or else by the last token.
    """
    parts: list[Array] = []
    start = 0
    for grid in grids:
        part = tokens_n[start : start + grid.count].astype(np.uint16)
        if len(part) < grid.count:
            part = _filled(part, grid, parts)
        parts.append(part.reshape(grid.rows, grid.columns))
        start += grid.count
    return SemanticTokens(
        grid=parts[-1],
        codes=codes,
        prompt=prompt,
        preview=parts[0] if len(parts) > 1 else None,
        seed=seed,
        sample=sample,
    )


def _filled(part: Array, grid: Grid, before: list[Array]) -> Array:
    if before:
        small = before[-1]
        rows = np.arange(grid.rows) * small.shape[0] // grid.rows
        columns = np.arange(grid.columns) * small.shape[1] // grid.columns
        return np.concatenate([part, small[rows][:, columns].reshape(-1)[len(part) :]])
    last = part[-1:] if len(part) else np.zeros(1, np.uint16)
    return np.concatenate([part, np.repeat(last, grid.count - len(part))])
