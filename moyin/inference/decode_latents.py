"""Latents → pixels: the autoencoder's decoder."""

from __future__ import annotations

from typing import Any

import numpy as np

from moyin.backend import autograd, ops
from moyin.models.autoencoder import Autoencoder

Array = np.ndarray[Any, Any]


@autograd.no_grad()
def decode_latents(autoencoder: Autoencoder, latents_bchw: Array, dtype: str = "float32") -> Array:
    """Normalized latents [B, 16, H/8, W/8] → uint8 pixels [B, H, W, 3]."""
    latents = ops.asarray(np.asarray(latents_bchw, np.float32))
    raw = ops.image_layout(ops.cast(autoencoder.denormalize(latents), getattr(ops, dtype)))
    pixels = ops.numpy(ops.cast(autoencoder.decode(raw), ops.float32))
    bytes_bchw: Array = np.round(np.clip(pixels / 2 + 0.5, 0, 1) * 255).astype(np.uint8)
    return bytes_bchw.transpose(0, 2, 3, 1)
