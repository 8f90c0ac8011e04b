"""Every mode that a picture file may have, as RGB of 8 bits."""

from __future__ import annotations

import numpy as np
from PIL import Image

WHITE = (255, 255, 255, 255)


def rgb(picture: Image.Image) -> Image.Image:
    """The picture with its alpha laid on white, and deeper channels scaled to 8 bits."""
    if picture.mode.startswith(("I", "F")):  # 16 bits a channel, which Pillow would cut off
        levels = np.asarray(picture, np.float64)
        top = 1.0 if picture.mode == "F" else 65535.0
        eight = np.round(np.clip(levels / top, 0, 1) * 255).astype(np.uint8)
        return Image.fromarray(eight).convert("RGB")
    if picture.has_transparency_data:
        ground = Image.new("RGBA", picture.size, WHITE)
        return Image.alpha_composite(ground, picture.convert("RGBA")).convert("RGB")
    return picture.convert("RGB")
