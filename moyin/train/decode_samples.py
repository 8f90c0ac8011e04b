"""Decodes token grids with a checkpoint's networks, for sample images during training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from moyin.backend import random
from moyin.inference.config import FlowSampling
from moyin.inference.decode_latents import decode_latents
from moyin.inference.denoise import denoise, encode_glyphs
from moyin.train.objectives.base import Array, Source

SAMPLING = FlowSampling(steps=20, guidance=1.5)


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
        latents = denoise(
            self.decoder,
            grid_rc[None],
            [encode_glyphs(self.glyph, strings, self.dtype)],
            encode_glyphs(self.glyph, [], self.dtype),
            random.normal(shape, seed, 0, "latents"),
            SAMPLING,
            dtype=self.dtype,
        )
        image: Array = decode_latents(self.autoencoder, latents, self.dtype)[0]
        return image
