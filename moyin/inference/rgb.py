"""Every mode that an image file may have, as RGB of 8 bits."""

from __future__ import annotations

import numpy as np
from PIL import Image

WHITE = (255, 255, 255, 255)


def rgb(image: Image.Image) -> Image.Image:
    """The image with its alpha laid on white, and deeper channels scaled to 8 bits."""
    if image.mode.startswith(("I", "F")):  # 16 bits a channel, which Pillow would cut off
        levels = np.asarray(image, np.float64)
        top = 1.0 if image.mode == "F" else 65535.0
        eight = np.round(np.clip(levels / top, 0, 1) * 255).astype(np.uint8)
        return Image.fromarray(eight).convert("RGB")
    if image.has_transparency_data:
        ground = Image.new("RGBA", image.size, WHITE)
        return Image.alpha_composite(ground, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")
