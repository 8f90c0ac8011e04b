"""What a hook sees after a step of token generation or denoising, and how it stops the loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass
class TokenStep:
    """After some tokens of each sample. Set `stop` to leave the loop with the tokens so far.

    done, total: tokens of the longest sample. read: copies the tokens from the device.
    """

    done: int
    total: int
    read: Callable[[], Array] = field(repr=False)
    stop: bool = False

    @property
    def tokens(self) -> Array:
        """The tokens so far, [B, done] int64, preview before large grid."""
        return self.read()


@dataclass
class DenoisingStep:
    """After a denoising step. Set `stop` to leave the loop with the estimate, or `replacement` to
    go on from other latents.

    done, total: steps. timestep: as the network saw it. read, read_estimate: copy from the device.
    """

    done: int
    total: int
    timestep: float
    read: Callable[[], Array] = field(repr=False)
    read_estimate: Callable[[], Array] = field(repr=False)
    stop: bool = False
    replacement: Array | None = field(default=None, repr=False)

    @property
    def latents(self) -> Array:
        """The noisy latents, [B, C, h, w] float32."""
        return self.read()

    @property
    def estimate(self) -> Array:
        """The clean latents that the last velocity points to, [B, C, h, w] float32."""
        return self.read_estimate()


TokenHook = Callable[[TokenStep], None]
DenoisingHook = Callable[[DenoisingStep], None]
