"""Images → semantic tokens and latents: what the networks read of a reference image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from moyin.backend import autograd, ops
from moyin.inference.image_processor import preprocess
from moyin.models.autoencoder import Autoencoder
from moyin.models.semantic_tokenizer import SemanticTokenizer

Array = np.ndarray[Any, Any]


@autograd.no_grad()
def encode_tokens(
    network: SemanticTokenizer, images: Sequence[Array], size: tuple[int, int] | None = None
) -> Array:
    """Semantic tokens [B, rows, columns] uint16 of images of one size, uint8 [H, W, 3] each.

    size: as for `image_processor.preprocess`.
    """
    pixels = ops.asarray(np.stack([preprocess(image, size) for image in images]))
    tokens: Array = ops.numpy(network.encode(pixels)).astype(np.uint16)
    return tokens


@autograd.no_grad()
def encode_latents(autoencoder: Autoencoder, image_hwc: Array, dtype: str = "float32") -> Array:
    """uint8 pixels [H, W, 3] → normalized latents [16, H/8, W/8] float32, the mean."""
    pixels = image_hwc.transpose(2, 0, 1)[None].astype(np.float32) / 127.5 - 1
    x = ops.image_layout(ops.cast(ops.asarray(pixels), getattr(ops, dtype)))
    mean, _ = autoencoder.encode(x)
    latents: Array = ops.numpy(autoencoder.normalize(ops.cast(mean, ops.float32)))[0]
    return latents
