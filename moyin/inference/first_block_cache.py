"""First-block cache: denoising steps that skip the later blocks while the first one changes little.

ParaAttention's first-block cache, related to TeaCache (Liu et al. 2024).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from moyin.backend import Tensor, ops
from moyin.models.decoder import Conditioning, Decoder, Modulation


class FirstBlockCache:
    """What the blocks added to the image stream at the last full step of one conditioning.

    The first block is computed at every step. If its residual differs from that of the last full
    step by less than `threshold` in every sample (mean absolute difference over mean magnitude),
    the residual of the later blocks at that step is used again.
    """

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold
        self._residuals: tuple[Tensor, Tensor] | None = None  # of the first block, of the later

    def velocity(
        self, decoder: Decoder, latents: Tensor, conditioning: Conditioning, modulation: Modulation
    ) -> Tensor:
        """As `decoder(latents, conditioning, modulation)`, with the cache in use."""
        start = decoder.embed(latents, conditioning)
        first = decoder.run_blocks(start, conditioning, modulation, stop=1)

        def later_blocks() -> Tensor:
            return decoder.run_blocks(first, conditioning, modulation, start=1).image

        last = self.last(start.image, first.image, later_blocks)
        return decoder.final_layer(last, modulation, *latents.shape[2:])

    def last(self, start: Tensor, first: Tensor, later_blocks: Callable[[], Tensor]) -> Tensor:
        """The image stream [B, N, D] after the last block.

        start, first: the image stream before and after the first block.
        """
        residual = first - start
        if self._residuals is not None and self._is_near(residual, self._residuals[0]):
            return first + self._residuals[1]
        last = later_blocks()
        self._residuals = residual, last - first
        return last

    def _is_near(self, residual: Tensor, reference: Tensor) -> bool:
        near = magnitude(residual - reference) < self.threshold * magnitude(reference)
        return bool(np.all(ops.numpy(near)))


def magnitude(x: Tensor) -> Tensor:
    """Mean absolute value of each sample, [B, ...] → [B] float32."""
    return ops.mean(ops.cast(ops.reshape(ops.abs(x), (x.shape[0], -1)), ops.float32), 1)
