"""Semantic tokens → latents: the decoder's part, with the glyph states of quoted strings.

Reference images are read once, clean, before denoising; every step attends to their cached keys
and values.

Axes: b sample, t glyph token, d glyph width, n decoder token, c channel, h and w of the latents.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from moyin.backend import Tensor, autograd, ops
from moyin.flow.guidance import combine
from moyin.flow.samplers import SAMPLERS
from moyin.flow.schedule import Schedule, Steps
from moyin.inference.config import FlowSampling
from moyin.inference.first_block_cache import FirstBlockCache
from moyin.inference.step import DenoisingHook, DenoisingStep
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
def encode_glyphs(glyph: GlyphEncoder, texts: Sequence[str], dtype: str = "float32") -> Array:
    """The glyph states [t, d] float32 of all texts; of "" where there is none."""
    ids, mask = glyph_bytes(texts)
    states = glyph(ops.asarray(ids), ops.asarray(mask), dtype=getattr(ops, dtype))
    read: Array = ops.numpy(ops.cast(states, ops.float32))[mask]
    return read


def encode_prompt_glyphs(
    glyph: GlyphEncoder, prompt: str, exact_quotes: bool = False, dtype: str = "float32"
) -> Array:
    """The glyph states [t, d] of all strings that the prompt quotes."""
    return encode_glyphs(glyph, quoted(prompt, exact_quotes), dtype)


@autograd.no_grad()
def denoise(
    decoder: Decoder,
    grids_brc: Array,
    glyphs: Sequence[Array],
    no_glyphs: Array,
    noise_bchw: Array,
    sampling: FlowSampling,
    *,
    schedule: Schedule | None = None,
    dtype: str = "float32",
    references: References | None = None,
    on_step: DenoisingHook | None = None,
) -> Array:
    """From noise to normalized latents [b, c, h, w] float32.

    grids_brc: semantic tokens [b, rows, columns]. glyphs: `encode_glyphs` of each sample.
    no_glyphs: of no text, for the unconditional pass, which guidance 1 does without. references:
    from `cache_references`; the unconditional pass does not see them. on_step: called after every
    step; where it stops, the result is the estimate of the clean latents.
    """
    batch, kind, steps = len(grids_brc), getattr(ops, dtype), sampling.steps
    height, width = noise_bchw.shape[2:]
    tokens = upsample_tokens(ops.asarray(grids_brc.astype(np.int64)))
    timesteps = (schedule or Schedule()).steps(steps, tokens.shape[1])

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

    text = padded_glyphs(glyphs, kind)
    passes = [conditioning(text, ops.zeros((batch,), ops.bool_), references)]
    if sampling.guidance != 1:
        no_text = padded_glyphs([no_glyphs] * batch, kind)
        passes.append(conditioning(no_text, ops.ones((batch,), ops.bool_)))
    # Time and size alone make the modulations: those of all steps and both passes at once.
    size = ops.asarray(np.tile(np.array([[8 * height, 8 * width]], np.float32), (steps, 1)))
    modulations = decoder.modulation(
        ops.asarray(timesteps.timesteps), size, ops.zeros((steps, 2)), kind
    )
    caches = [FirstBlockCache(sampling.reuse) if sampling.reuse else None for _ in passes]
    recorder = _Recorder(timesteps, on_step)

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
        if sampling.guidance != 1:
            velocities = [combine(velocities[0], velocities[1], sampling.guidance)]
        recorder.record(x, velocities[0], step)
        return velocities[0]

    hook = None if on_step is None else recorder.after_step
    x = SAMPLERS[sampling.sampler](velocity, ops.asarray(noise_bchw), timesteps, hook)
    return recorder.estimate() if recorder.stopped else ops.numpy(x)


class _Recorder:
    """Keeps the last velocity for the estimate, and calls the hook after every step."""

    def __init__(self, steps: Steps, on_step: DenoisingHook | None) -> None:
        self.steps, self.on_step = steps, on_step
        self.stopped = False
        self.last: tuple[Tensor, Tensor, float] | None = None

    def record(self, x: Tensor, velocity: Tensor, step: int) -> None:
        if self.on_step is not None:
            self.last = x, velocity, float(self.steps.sigmas[step])

    def estimate(self) -> Array:
        """The clean latents: the straight path's end from the last x along its velocity."""
        assert self.last is not None
        x, velocity, sigma = self.last
        estimate: Array = ops.numpy(x - sigma * velocity)
        return estimate

    def after_step(self, done: int, x: Tensor) -> Tensor | None:
        assert self.on_step is not None
        timesteps = self.steps.timesteps
        state = DenoisingStep(
            done,
            len(timesteps),
            float(timesteps[done - 1]),
            read=lambda: ops.numpy(x),
            read_estimate=self.estimate,
        )
        self.on_step(state)
        self.stopped = state.stop
        if state.stop:
            return None
        if state.replacement is None:
            return x
        latents: Tensor = ops.asarray(np.asarray(state.replacement, np.float32))
        return latents


@autograd.no_grad()
def cache_references(
    decoder: Decoder, references: Sequence[Sequence[tuple[Array, Array]]], dtype: str = "float32"
) -> References | None:
    """Keys and values of each sample's reference images, in their order; None without any.

    references: for each sample, semantic tokens [rows, columns] and normalized latents [c, h, w] of
    each image. All samples have as many, of the same sizes.
    """
    kind, cached = getattr(ops, dtype), []
    for images in zip(*references, strict=True):
        latents = np.stack([latents_chw for _, latents_chw in images])
        b, _, height, width = latents.shape
        cached.append(
            decoder.encode_reference(
                ops.cast(ops.asarray(latents), kind),
                upsample_tokens(
                    ops.asarray(np.stack([grid_rc for grid_rc, _ in images]).astype(np.int64))
                ),
                ops.asarray(np.tile(np.array([[8 * height, 8 * width]], np.float32), (b, 1))),
                ops.zeros((b, 2)),
            )
        )
    return concat_references(cached) if cached else None


def padded_glyphs(glyphs: Sequence[Array], dtype: Any) -> Glyphs:
    """States of different lengths as one batch; a mask only where there is padding."""
    longest = max(len(states) for states in glyphs)
    batch = np.zeros((len(glyphs), longest, glyphs[0].shape[1]), np.float32)
    mask = np.zeros((len(glyphs), longest), bool)
    for i, states in enumerate(glyphs):
        batch[i, longest - len(states) :] = states
        mask[i, longest - len(states) :] = True
    return ops.cast(ops.asarray(batch), dtype), None if mask.all() else ops.asarray(mask)
