"""GLM-Image's sizes, 17 B parameters in total.

The sizes are the released ones. Batch sizes, learning rates and steps were not published: those
here are a guess, and have not been run.
"""

from __future__ import annotations

from moyin.data.prepare import Images
from moyin.render.layouts import FREE, shipped
from moyin.render.renderer import Renderer
from moyin.train.config import Optimizer, Training
from moyin.train.objectives.config import (
    AutoencoderObjectiveConfig,
    DecoderObjectiveConfig,
    GeneratorObjectiveConfig,
    GlyphObjectiveConfig,
    ObjectiveConfig,
    SemanticObjectiveConfig,
)


def images() -> Images:
    """Render a million images of 1024x1024 in all layouts, with all 8105 characters."""
    weights = {FREE: 3.0} | dict.fromkeys(shipped(), 1.0)
    renderer = Renderer.Config(size=1024, characters=8105, layouts=weights)
    return Images(renderer=renderer, count=1_000_000)


def autoencoder() -> Training:
    """Train the autoencoder, 406 M parameters."""
    return _stage(AutoencoderObjectiveConfig(crop=256), 1e-4)


def glyph() -> Training:
    """Train the glyph encoder, 218 M parameters."""
    return _stage(GlyphObjectiveConfig(), 1e-4)


def semantic() -> Training:
    """Train the semantic tokenizer, 1.2 B parameters."""
    return _stage(SemanticObjectiveConfig(), 1e-4)


def generator() -> Training:
    """Train the generator, 8.9 B parameters."""
    return _stage(GeneratorObjectiveConfig(text_vocab_size=151_552), 5e-5)


def decoder() -> Training:
    """Train the decoder, 6.9 B parameters."""
    return _stage(DecoderObjectiveConfig(), 5e-5)


def _stage(objective: ObjectiveConfig, lr: float) -> Training:
    return Training(
        objective=objective,
        optimizer=Optimizer(lr=lr, warmup=2000, ema=0.9999),
        steps=100_000,
        batch=16,
        accumulate=16,
        recompute=True,
    )


RECIPES = (images, autoencoder, glyph, semantic, generator, decoder)
