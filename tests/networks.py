"""The five networks at widths of 32, with weights away from zero and one, on either backend."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from moyin.backend import nn, ops
from moyin.models.autoencoder import Autoencoder
from moyin.models.decoder import Decoder, DecoderInputs
from moyin.models.generator import Generator
from moyin.models.glyph_encoder import GlyphEncoder
from moyin.models.semantic_tokenizer import SemanticTokenizer

CODES, TEXT = 40, 300

CONFIGS: dict[str, Any] = {
    "autoencoder": Autoencoder.Config(
        block_channels=(8, 8, 16, 16),
        layers_per_block=1,
        norm_groups=4,
        latents_mean=tuple(0.01 * i for i in range(16)),
        latents_std=tuple(1 + 0.02 * i for i in range(16)),
    ),
    "glyph": GlyphEncoder.Config(hidden=24, layers=2, heads=3, head_dim=8, ffn=40),
    "semantic": SemanticTokenizer.Config(
        width=32, layers=2, heads=2, mlp=48, table=8, codes=CODES, code_width=24
    ),
    "generator": Generator.Config(
        vocab=CODES + 128 + TEXT,
        vision_vocab=CODES + 128,
        hidden=32,
        layers=2,
        heads=4,
        kv_heads=2,
        head_dim=8,
        ffn=48,
        rotary_sections=(1, 1, 0),
        pad_id=CODES + 128 + 256,
        image_id=CODES + 128 + 259,
    ),
    "decoder": Decoder.Config(
        layers=2, heads=2, head_dim=16, glyph_dim=24, time_dim=16, size_dim=8, codes=CODES
    ),
}


def tiny(network: str, seed: int = 0) -> Any:
    """One network, its parameters drawn from `seed`."""
    return drawn(CONFIGS[network].build(), seed)


def drawn(module: Any, seed: int = 0) -> Any:
    """The module, every parameter of it drawn from `seed`."""
    generator = np.random.default_rng(seed)
    for name, parameter in nn.named_parameters(module).items():
        shape = tuple(parameter.shape)
        spread = 0.9 / max(np.prod(shape[1:]), 9) ** 0.5 if len(shape) > 1 else 0.1
        centre = 1.0 if len(shape) == 1 and "norm" in name and "weight" in name else 0.0
        value = centre + spread * generator.standard_normal(shape)
        nn.set_parameter(parameter, ops.asarray(value.astype(np.float32)))
    return module


def velocity(
    decoder: Decoder, latents: Any, timestep: Any, target_size: Any, crop: Any, **inputs: Any
) -> Any:
    """Velocity of one call; `inputs` are fields of `DecoderInputs`."""
    height, width = latents.shape[2:]
    given = DecoderInputs(**{"glyph_mask": None, "height": height, "width": width} | inputs)
    conditioning = decoder.conditioning(given, latents.dtype)
    modulation = decoder.modulation(timestep, target_size, crop, latents.dtype)
    return decoder(latents, conditioning, modulation)


def all_tiny(seed: int = 0) -> dict[str, Any]:
    """All five."""
    return {name: tiny(name, seed) for name in CONFIGS}


def tokenizer() -> Any:
    """Bytes and marks alone, in the id space of CONFIGS."""
    from moyin.prompt.tokenizer import TextTokenizer

    return TextTokenizer.train([], size=260, codes=CODES)


def save_all(folder: Path) -> Path:
    """A whole small checkpoint: 64×64, three steps, no preview unless asked for."""
    from moyin.checkpoint.save import save_checkpoint

    settings = {"height": 64, "width": 64, "steps": 3, "preview": False}
    return save_checkpoint(
        folder,
        all_tiny(),
        tokenizer=tokenizer(),
        dtype="float32",
        notes={"settings": settings},
    )
