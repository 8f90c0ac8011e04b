"""Latents → pixels and back: the autoencoder's part."""

from __future__ import annotations

from typing import Any

import numpy as np

from moyin.backend import autograd, ops
from moyin.models.autoencoder import Autoencoder

Array = np.ndarray[Any, Any]


@autograd.no_grad()
def develop(autoencoder: Autoencoder, latents_bchw: Array, dtype: str = "float32") -> Array:
    """Normalized latents [B, 16, H/8, W/8] → uint8 pixels [B, H, W, 3]."""
    latents = ops.asarray(np.asarray(latents_bchw, np.float32))
    raw = ops.image_layout(ops.cast(autoencoder.denormalize(latents), getattr(ops, dtype)))
    pixels = ops.numpy(ops.cast(autoencoder.decode(raw), ops.float32))
    bytes_bchw: Array = np.round(np.clip(pixels / 2 + 0.5, 0, 1) * 255).astype(np.uint8)
    return bytes_bchw.transpose(0, 2, 3, 1)


@autograd.no_grad()
def encode(autoencoder: Autoencoder, image_hwc: Array, dtype: str = "float32") -> Array:
    """uint8 pixels [H, W, 3] → normalized latents [16, H/8, W/8] float32, the mode of them."""
    pixels = image_hwc.transpose(2, 0, 1)[None].astype(np.float32) / 127.5 - 1
    x = ops.image_layout(ops.cast(ops.asarray(pixels), getattr(ops, dtype)))
    mean, _ = autoencoder.encode(x)
    latents: Array = ops.numpy(autoencoder.normalize(ops.cast(mean, ops.float32)))[0]
    return latents
