"""Semantic tokens → latents: the decoder's part, with what the glyph encoder makes of quoted text.

Reference images are read once, clean, before the walk; its steps read what was kept of them.

Axes: b sample, t glyph token, d glyph width, n decoder token, c channel, h and w of the latents.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence as Items
from typing import Any

import numpy as np

from moyin.backend import Tensor, autograd, ops
from moyin.flow import guidance as free
from moyin.flow.samplers import SAMPLERS
from moyin.flow.schedule import Schedule
from moyin.inference.first_block_cache import FirstBlockCache
from moyin.models.decoder import (
    Conditioning,
    Decoder,
    DecoderInputs,
    References,
    concat_references,
    upsample_tokens,
)
from moyin.models.glyph_encoder import GlyphEncoder
from moyin.prompt.quotes import glyph_bytes, quoted

Array = np.ndarray[Any, Any]
Glyphs = tuple[Tensor, Tensor | None]  # states [b, t, d], mask [b, t] where lengths differ


@autograd.no_grad()
def glyph_states(
    glyph: GlyphEncoder, prompt: str, exact_quotes: bool = False, dtype: str = "float32"
) -> Array:
    """The states [t, d] of all strings that the prompt quotes; of "" where it quotes none."""
    ids, mask = glyph_bytes(quoted(prompt, exact_quotes))
    states = glyph(ops.asarray(ids), ops.asarray(mask), dtype=getattr(ops, dtype))
    return ops.numpy(ops.cast(states, ops.float32))[mask]


@autograd.no_grad()
def paint(
    decoder: Decoder,
    grids_brc: Array,
    glyphs: Items[Array],
    no_glyphs: Array,
    noise_bchw: Array,
    *,
    steps: int,
    guidance: float,
    schedule: Schedule | None = None,
    dtype: str = "float32",
    references: References | None = None,
    sampler: str = "euler",
    reuse: float = 0.0,
    progress: Callable[[int, int], None] | None = None,
) -> Array:
    """Walk from noise to normalized latents [b, c, h, w], float32.

    grids_brc: ids [b, rows, columns]. glyphs: `glyph_states` of each sample's prompt; no_glyphs:
    those of "", for the unconditional pass, which guidance 1 does without. references: what
    `remembered` keeps of images to be edited; the unconditional pass does not see them.
    sampler, reuse: as in `GenerationConfig`.
    """
    batch, kind = len(grids_brc), getattr(ops, dtype)
    height, width = noise_bchw.shape[2:]
    tokens = upsample_tokens(ops.asarray(grids_brc.astype(np.int64)))
    walk = (schedule or Schedule()).steps(steps, tokens.shape[1])

    def conditioning(text: Glyphs, dropped: Tensor, seen: References | None = None) -> Conditioning:
        inputs = DecoderInputs(
            glyphs=text[0],
            glyph_mask=text[1],
            tokens=tokens,
            tokens_dropped=dropped,
            height=height,
            width=width,
            references=seen,
        )
        return decoder.conditioning(inputs, kind)

    passes = [conditioning(padded(glyphs, kind), ops.zeros((batch,), ops.bool_), references)]
    if guidance != 1:
        no_text = padded([no_glyphs] * batch, kind)
        passes.append(conditioning(no_text, ops.ones((batch,), ops.bool_)))
    # Time and size alone make the modulations: those of all steps and both passes at once.
    size = ops.asarray(np.tile(np.array([[8 * height, 8 * width]], np.float32), (steps, 1)))
    timesteps, crop = ops.asarray(walk.timesteps), ops.zeros((steps, 2))
    modulations = decoder.modulation(timesteps, size, crop, kind)
    caches = [FirstBlockCache(reuse) if reuse else None for _ in passes]

    def velocity(x: Tensor, step: int) -> Tensor:
        noised, modulation = ops.cast(x, kind), modulations.row(step)
        velocities = []
        for each, cache in zip(passes, caches, strict=True):
            # No later step corrects the error of a cached one, so the last step is a full one.
            if cache is None or step == steps - 1:
                predicted = decoder(noised, each, modulation)
            else:
                predicted = cache.velocity(decoder, noised, each, modulation)
            velocities.append(ops.cast(predicted, ops.float32))
        return (
            velocities[0] if guidance == 1 else free.combine(velocities[0], velocities[1], guidance)
        )

    walked = SAMPLERS[sampler](velocity, ops.asarray(noise_bchw), walk, progress)
    return ops.numpy(walked)


@autograd.no_grad()
def remembered(
    decoder: Decoder, references: Items[Items[tuple[Array, Array]]], dtype: str = "float32"
) -> References | None:
    """Keys and values of each sample's reference images, in their order; None without any.

    references: for each sample, ids [rows, columns] and normalized latents [c, h, w] of each
    image. All samples have as many, of the same sizes.
    """
    kind, written = getattr(ops, dtype), []
    for images in zip(*references, strict=True):
        latents = np.stack([latents_chw for _, latents_chw in images])
        b, _, height, width = latents.shape
        written.append(
            decoder.encode_reference(
                ops.cast(ops.asarray(latents), kind),
                upsample_tokens(
                    ops.asarray(np.stack([grid_rc for grid_rc, _ in images]).astype(np.int64))
                ),
                ops.asarray(np.tile(np.array([[8 * height, 8 * width]], np.float32), (b, 1))),
                ops.zeros((b, 2)),
            )
        )
    return concat_references(written) if written else None


def padded(glyphs: Items[Array], dtype: Any) -> Glyphs:
    """States of different lengths as one batch; a mask only where there is padding."""
    longest = max(len(g) for g in glyphs)
    states = np.zeros((len(glyphs), longest, glyphs[0].shape[1]), np.float32)
    mask = np.zeros((len(glyphs), longest), bool)
    for i, g in enumerate(glyphs):
        states[i, longest - len(g) :] = g
        mask[i, longest - len(g) :] = True
    return ops.cast(ops.asarray(states), dtype), None if mask.all() else ops.asarray(mask)
