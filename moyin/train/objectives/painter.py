"""Ids to pixels with a checkpoint's networks, for the images that show how a training goes."""

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
class Painter:
    """What paints: decoder, glyph encoder and autoencoder."""

    decoder: Any
    glyph: Any
    autoencoder: Any
    dtype: str

    @classmethod
    def of(cls, source: Source, dtype: str, decoder: Any = None) -> Painter | None:
        """With the checkpoint's networks, but for a given decoder; None if one is missing."""
        found = source.checkpoint
        needed = ["glyph", "autoencoder", *([] if decoder is not None else ["decoder"])]
        if found is None or not all(map(found.has, needed)):
            return None
        glyph, autoencoder = (source.network(name, dtype) for name in ("glyph", "autoencoder"))
        chosen = source.network("decoder", dtype) if decoder is None else decoder
        return cls(chosen, glyph, autoencoder, dtype)

    def paint(self, grid_rc: Array, strings: list[str], seed: int) -> Array:
        """The image of these ids that says these strings, uint8 [H, W, 3]."""
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
        ids, mask = glyph_bytes(strings)
        states = self.glyph(ops.asarray(ids), ops.asarray(mask), dtype=getattr(ops, self.dtype))
        real: Array = ops.numpy(ops.cast(states, ops.float32))[np.asarray(mask)]
        return real
