"""Decodes token grids with a checkpoint's networks, for sample images during training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from moyin.backend import autograd, ops, random
from moyin.inference.decode_latents import develop
from moyin.inference.denoise import paint
from moyin.prompt.quotes import glyph_bytes
from moyin.train.objectives.base import Array, Source

STEPS, GUIDANCE = 20, 1.5


@dataclass(frozen=True)
class SampleDecoder:
    """Decoder, glyph encoder and autoencoder; dtype is what they compute in."""

    decoder: Any
    glyph: Any
    autoencoder: Any
    dtype: str

    @classmethod
    def of(cls, source: Source, dtype: str, decoder: Any = None) -> SampleDecoder | None:
        """The checkpoint's networks, or `decoder` in place of its decoder; None if one is
        missing."""
        checkpoint = source.checkpoint
        needed = ["glyph", "autoencoder", *([] if decoder is not None else ["decoder"])]
        if checkpoint is None or not all(map(checkpoint.has, needed)):
            return None
        glyph, autoencoder = (source.network(name, dtype) for name in ("glyph", "autoencoder"))
        chosen = source.network("decoder", dtype) if decoder is None else decoder
        return cls(chosen, glyph, autoencoder, dtype)

    def decode(self, grid_rc: Array, strings: list[str], seed: int) -> Array:
        """The image of a token grid with these quoted strings, uint8 [H, W, 3]."""
        rows, columns = grid_rc.shape
        shape = (1, self.decoder.config.channels, 4 * rows, 4 * columns)
        latents = paint(
            self.decoder,
            grid_rc[None],
            [self._states(strings)],
            self._states([]),
            random.normal(shape, seed, 0, "latents"),
            steps=STEPS,
            guidance=GUIDANCE,
            dtype=self.dtype,
        )
        image: Array = develop(self.autoencoder, latents, self.dtype)[0]
        return image

    @autograd.no_grad()
    def _states(self, strings: list[str]) -> Array:
        """Glyph states [bytes, hidden] of the strings."""
        ids, mask = glyph_bytes(strings)
        states = self.glyph(ops.asarray(ids), ops.asarray(mask), dtype=getattr(ops, self.dtype))
        real: Array = ops.numpy(ops.cast(states, ops.float32))[np.asarray(mask)]
        return real
